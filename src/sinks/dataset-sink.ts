/**
 * The sink of one dataset for any number of tenants over one pool. Success is counted after the commit. It does not try
 * again: whoever holds the rows decides on that.
 */
import { setImmediate as immediate } from "node:timers/promises";
import { PartitionCache } from "../client/partition-cache.ts";
import { SeriesCache } from "../client/series-cache.ts";
import { type BatchOutcome, type WriteTarget, writeBatch } from "../client/write-batch.ts";
import type { TenantScope } from "../database/session.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { RowBatch } from "../datasets/derive/row-batch.ts";
import { StoreError } from "../errors/store-error.ts";
import type { IngestMetrics } from "../telemetry/ingest-metrics.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import type { Sink, SinkBatch, SinkOutcome, SinkRejection } from "./sink.ts";

/** Rows validated before the event loop gets its turn: a millisecond or two. */
const ROWS_PER_TURN = 1_000;
/** Buffers that are kept to be used again: one for each worker that is usual. */
const MAX_SPARE_BATCHES = 8;

/** Where all tenants' rows go. */
export type SinkScope = Omit<TenantScope, "tenantId">;

export interface DatasetSinkOptions {
  readonly scope: SinkScope;
  readonly dataset: DatasetShape;
  /** Rows of one statement at most. */
  readonly batchRows: number;
  readonly metrics?: IngestMetrics | undefined;
  readonly storeMetrics?: Pick<StoreMetrics, "countRows"> | undefined;
}

interface Sums {
  inserted: number;
  updated: number;
  unchanged: number;
  superseded: number;
  readonly rejections: SinkRejection[];
}

/** A batch under way: where its rows stand among those given. */
interface Filled {
  readonly batch: RowBatch;
  /** Place of each of its rows. */
  readonly places: number[];
}

export class DatasetSink implements Sink {
  readonly name: string;
  readonly #options: DatasetSinkOptions;
  readonly #series: SeriesCache;
  readonly #partitions: PartitionCache;
  readonly #spare: Filled[] = [];

  constructor(options: DatasetSinkOptions) {
    const { dataset } = options;
    this.name = dataset.name;
    this.#options = options;
    this.#series = new SeriesCache(dataset);
    this.#partitions = new PartitionCache(dataset.name);
  }

  async write(batch: SinkBatch, signal: AbortSignal): Promise<SinkOutcome> {
    const { metrics, storeMetrics } = this.#options;
    const startedAt = performance.now();
    let outcome: "success" | "failure" = "failure";
    try {
      const sums = await this.#writeAll(batch, signal);
      outcome = "success";
      for (const result of ["inserted", "updated", "unchanged"] as const) {
        if (sums[result] > 0) storeMetrics?.countRows(this.name, result, sums[result]);
      }
      if (sums.rejections.length > 0) storeMetrics?.countRows(this.name, "rejected", sums.rejections.length);
      return sums;
    } finally {
      metrics?.countSinkWrite(this.name, outcome, (performance.now() - startedAt) / 1_000);
    }
  }

  async #writeAll({ tenantId, rows }: SinkBatch, signal: AbortSignal): Promise<Sums> {
    const { scope, dataset } = this.#options;
    const target: WriteTarget = {
      scope: { ...scope, tenantId },
      dataset,
      series: this.#series,
      partitions: this.#partitions,
      maxRetries: 0,
    };
    const sums: Sums = { inserted: 0, updated: 0, unchanged: 0, superseded: 0, rejections: [] };
    for (let from = 0; from < rows.length; ) {
      const filled = this.#spare.pop() ?? this.#newBatch();
      from = await this.#fill(filled, rows, from, sums, signal);
      if (filled.batch.size > 0) {
        add(sums, await writeBatch(target, filled.batch, Promise.resolve(), signal), filled.places);
      }
      this.#giveBack(filled);
    }
    return sums;
  }

  /** Where the next batch begins: this one is full by rows or by text, or all rows are taken. */
  async #fill(
    filled: Filled,
    rows: readonly unknown[],
    from: number,
    sums: Sums,
    signal: AbortSignal,
  ): Promise<number> {
    const { batch, places } = filled;
    let at = from;
    for (; at < rows.length && !batch.full; at++) {
      const rejection = batch.add(rows[at]);
      if (rejection === undefined) places.push(at);
      else sums.rejections.push({ index: at, ...rejection });
      if ((at - from) % ROWS_PER_TURN === ROWS_PER_TURN - 1) await immediate();
      if (signal.aborted) throw new StoreError("aborted", "The call was stopped by its caller.");
    }
    return at;
  }

  #newBatch(): Filled {
    return { batch: new RowBatch(this.#options.dataset, this.#options.batchRows), places: [] };
  }

  /** A batch whose writing failed is not given back: an abandoned call may still hold it. */
  #giveBack(filled: Filled): void {
    filled.batch.clear();
    filled.places.length = 0;
    if (this.#spare.length < MAX_SPARE_BATCHES) this.#spare.push(filled);
  }
}

function add(sums: Sums, outcome: BatchOutcome, places: readonly number[]): void {
  for (const name of ["inserted", "updated", "unchanged", "superseded"] as const) sums[name] += outcome[name];
  for (const { row, rejection } of outcome.rejections) sums.rejections.push({ index: places[row]!, ...rejection });
}
