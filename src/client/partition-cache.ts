/** The time ranges that have a partition, as far as this process knows; asks for those that a batch needs besides. */

import { runInTenant, type TenantScope } from "../database/session.ts";
import { encodeTimeArray } from "../datasets/derive/codec.ts";
import { StoreError } from "../errors/store-error.ts";

/** What one call of mds.ensure_partitions makes at most. */
const MAX_PARTITIONS_PER_CALL = 64;
/** One time of each such span is asked for at once: few partitions are narrower. */
const SPAN_US = 28 * 86_400 * 1_000_000;
/** A span may touch several partitions, which a pass each makes: of a day, the narrowest there can be, 29. */
const MAX_PASSES = 30;

interface TimeRange {
  readonly startUs: number;
  readonly endUs: number;
}

export class PartitionCache {
  readonly #datasetName: string;
  #ranges: TimeRange[] = [];

  constructor(datasetName: string) {
    this.#datasetName = datasetName;
  }

  /** Sees to it that each of the first `size` times has a partition. */
  async ensure(scope: TenantScope, times: Float64Array, size: number, signal?: AbortSignal): Promise<void> {
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      const missing = this.#uncovered(times, size);
      if (missing.length === 0) return;
      for (let at = 0; at < missing.length; at += MAX_PARTITIONS_PER_CALL) {
        await this.#make(scope, missing.slice(at, at + MAX_PARTITIONS_PER_CALL), signal);
      }
    }
    throw new StoreError(
      "partition_missing",
      `The database made no partition of ${this.#datasetName} for a time of this batch.`,
    );
  }

  /** Forgets all, after the database said that a partition is gone. */
  clear(): void {
    this.#ranges = [];
  }

  #uncovered(times: Float64Array, size: number): number[] {
    const bySpan = new Map<number, number>();
    let last: TimeRange | undefined;
    for (let at = 0; at < size; at++) {
      const time = times[at]!;
      if (last !== undefined && time >= last.startUs && time < last.endUs) continue;
      last = this.#ranges.find((range) => time >= range.startUs && time < range.endUs);
      if (last === undefined) bySpan.set(Math.floor(time / SPAN_US), time);
    }
    return [...bySpan.values()].sort((a, b) => a - b);
  }

  async #make(scope: TenantScope, times: readonly number[], signal?: AbortSignal): Promise<void> {
    const rows = Int32Array.from(times, (_, at) => at);
    const ranges = await runInTenant<{ start_us: bigint; end_us: bigint }>(
      scope,
      {
        text: `select (extract(epoch from range_start) * 1000000)::int8 as start_us,
                 (extract(epoch from range_end) * 1000000)::int8 as end_us
               from mds.ensure_partitions($1, $2::timestamptz[])`,
        values: [this.#datasetName, encodeTimeArray(Float64Array.from(times), rows)],
      },
      signal,
    );
    const known = new Set(this.#ranges.map((range) => range.startUs));
    const added = ranges.map((range) => ({ startUs: Number(range.start_us), endUs: Number(range.end_us) }));
    this.#ranges.push(...added.filter((range) => !known.has(range.startUs)));
    // Newest first: most batches are of late.
    this.#ranges.sort((a, b) => b.startUs - a.startUs);
  }
}
