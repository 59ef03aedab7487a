/** Series ids by dimensions, kept up to a bound. Ids are never reused, so an entry can only be of a series that is gone. */

import { runInTenant, type TenantScope } from "../database/session.ts";
import type { DatasetShape } from "../datasets/dataset.ts";

/** About 20 MB of keys; a tenant with more series than this resolves some of them again. */
const MAX_CACHED_SERIES = 100_000;
const SEPARATOR = "\u0000";

export class SeriesCache {
  readonly #dataset: DatasetShape;
  readonly #ids = new Map<string, number>();

  constructor(dataset: DatasetShape) {
    this.#dataset = dataset;
  }

  /** The id of each of these series, in their order; those that the database lacks are made. */
  async resolve(scope: TenantScope, series: readonly (readonly string[])[], signal?: AbortSignal): Promise<Int32Array> {
    const keys = series.map((dimensions) => dimensions.join(SEPARATOR));
    const unknown = series.filter((_, at) => !this.#ids.has(keys[at]!));
    if (unknown.length > 0) {
      if (this.#ids.size + unknown.length > MAX_CACHED_SERIES) this.#ids.clear();
      await this.#ensure(scope, this.#ids.size === 0 ? series : unknown, signal);
    }
    return Int32Array.from(keys, (key) => this.#ids.get(key)!);
  }

  /** Forgets series, after the database said that one of them does not exist. */
  forget(series: readonly (readonly string[])[]): void {
    for (const dimensions of series) this.#ids.delete(dimensions.join(SEPARATOR));
  }

  async #ensure(scope: TenantScope, series: readonly (readonly string[])[], signal?: AbortSignal): Promise<void> {
    const { name, dimensions } = this.#dataset;
    const parameters = dimensions.map((_, at) => `$${at + 1}::text[]`).join(", ");
    const [row] = await runInTenant<{ ids: number[] }>(
      scope,
      {
        text: `select mds.ensure_${name}_series(${parameters}) as ids`,
        values: dimensions.map((_, at) => series.map((one) => one[at])),
      },
      signal,
    );
    for (const [at, one] of series.entries()) this.#ids.set(one.join(SEPARATOR), row!.ids[at]!);
  }
}
