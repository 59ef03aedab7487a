/** Series ids by dimensions, kept up to a bound. Ids are never reused, so an entry can only be of a series that is gone. */

import { runInTenant, type TenantScope } from "../database/session.ts";
import type { DatasetShape } from "../datasets/dataset.ts";

/** About 20 MB of keys, over all tenants; who has more series than this resolves some of them again. */
const MAX_CACHED_SERIES = 100_000;
const SEPARATOR = "\u0000";

export class SeriesCache {
  readonly #dataset: DatasetShape;
  readonly #byTenant = new Map<string, Map<string, number>>();
  #size = 0;

  constructor(dataset: DatasetShape) {
    this.#dataset = dataset;
  }

  /** The id of each of these series, in their order; those that the database lacks are made. */
  async resolve(scope: TenantScope, series: readonly (readonly string[])[], signal?: AbortSignal): Promise<Int32Array> {
    const keys = series.map((dimensions) => dimensions.join(SEPARATOR));
    const known = this.#idsOf(scope);
    const unknown = series.filter((_, at) => !known.has(keys[at]!));
    if (unknown.length === 0) return Int32Array.from(keys, (key) => known.get(key)!);
    const found = await this.#ensure(scope, unknown, signal);
    const ids = Int32Array.from(keys, (key) => known.get(key) ?? found.get(key)!);
    this.#keep(scope, found);
    return ids;
  }

  /** Forgets series, after the database said that one of them does not exist. */
  forget(scope: TenantScope, series: readonly (readonly string[])[]): void {
    const known = this.#idsOf(scope);
    for (const dimensions of series) if (known.delete(dimensions.join(SEPARATOR))) this.#size--;
  }

  #idsOf({ tenantId }: TenantScope): Map<string, number> {
    let ids = this.#byTenant.get(tenantId);
    if (ids === undefined) {
      ids = new Map();
      this.#byTenant.set(tenantId, ids);
    }
    return ids;
  }

  #keep(scope: TenantScope, found: ReadonlyMap<string, number>): void {
    if (this.#size + found.size > MAX_CACHED_SERIES) {
      this.#byTenant.clear();
      this.#size = 0;
    }
    const ids = this.#idsOf(scope);
    const before = ids.size;
    for (const [key, id] of found) ids.set(key, id);
    this.#size += ids.size - before;
  }

  async #ensure(
    scope: TenantScope,
    series: readonly (readonly string[])[],
    signal?: AbortSignal,
  ): Promise<Map<string, number>> {
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
    return new Map(series.map((one, at) => [one.join(SEPARATOR), row!.ids[at]!]));
  }
}
