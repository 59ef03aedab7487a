/** What makes a batch of one dataset's rows durable. */
import type { Rejection } from "../datasets/dataset.ts";

/** Rows of one tenant, in the order in which they were submitted. */
export interface SinkBatch {
  /** UUID. */
  readonly tenantId: string;
  readonly rows: readonly unknown[];
}

/** A row that cannot be stored; all others of its batch are. */
export interface SinkRejection extends Rejection {
  /** The row's place in the batch. */
  readonly index: number;
}

/** What became of a batch's rows: the counts and the rejections add up to them. */
export interface SinkOutcome {
  readonly inserted: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly superseded: number;
  readonly rejections: readonly SinkRejection[];
}

/** A port: whoever writes through it knows nothing of databases. */
export interface Sink {
  /** The dataset's name. */
  readonly name: string;
  /**
   * Resolves when the batch is committed. It ends within a time of its own, does not try again, and may be called with
   * the same rows again after any failure.
   *
   * @throws StoreError; `retryable` when the same batch may succeed later; `aborted` after the signal.
   */
  write(batch: SinkBatch, signal: AbortSignal): Promise<SinkOutcome>;
}
