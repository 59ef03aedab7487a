/**
 * One worker and its queue. It begins a write when a batch is full, when the oldest row has waited for the flush
 * interval, or when it is told to flush; it holds its rows until each is stored or in the dead letters, so that rows of
 * one key are never overtaken. It waits for nothing while it has no rows: whoever adds some kicks it. It cannot die.
 */
import type { Clock } from "../resilience/clock.ts";
import type { Delivery } from "./delivery.ts";
import { type RowGroup, RowQueue, type Stream } from "./row-queue.ts";

interface LaneOptions {
  readonly batchRows: number;
  readonly flushIntervalMs: number;
  readonly clock: Clock;
  readonly delivery: Delivery;
  /** Ended: no further batch is begun. */
  readonly signal: AbortSignal;
  /** Told after each batch, whatever became of it. */
  readonly onBatchEnd: () => void;
}

export class Lane {
  readonly #options: LaneOptions;
  readonly #queue = new RowQueue();
  #batch: readonly RowGroup[] = [];
  #batchOldest = Number.POSITIVE_INFINITY;
  #working: Promise<void> | undefined;
  #cancelTimer: (() => void) | undefined;
  #isDue = false;
  /** Rows up to this ordinal do not wait for a full batch. */
  #flushTo = 0;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Rows that wait and are not under way. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Ordinal of the oldest row that waits. */
  get oldestWaiting(): number {
    return this.#queue.oldest;
  }

  /** Ordinal of the oldest row that waits or is under way; infinite when there is none. */
  get oldest(): number {
    return Math.min(this.#batchOldest, this.#queue.oldest);
  }

  /** Resolves when nothing is under way. */
  get settled(): Promise<void> {
    return this.#working ?? Promise.resolve();
  }

  /** Adds a row; `kick` lets the worker look. */
  push(stream: Stream, row: unknown, ordinal: number, acceptedAt: number): void {
    this.#queue.push(stream, row, ordinal, acceptedAt);
  }

  dropOldest(): void {
    this.#queue.dropOldest();
  }

  /** Rows up to this ordinal are written as soon as they can be. */
  flushTo(ordinal: number): void {
    this.#flushTo = Math.max(this.#flushTo, ordinal);
    this.kick();
  }

  /** Begins a write if there is reason to; else sees to it that there will be one. Costs nothing when there is nothing. */
  kick(): void {
    const { signal, clock, flushIntervalMs } = this.#options;
    if (this.#working !== undefined || this.#queue.size === 0 || signal.aborted) return;
    if (this.#isReady()) this.#working = this.#work();
    else
      this.#cancelTimer ??= clock.after(flushIntervalMs, () => {
        this.#cancelTimer = undefined;
        this.#isDue = true;
        this.kick();
      });
  }

  /** Takes out all that is not done, oldest first. Only after `settled`, or when what is under way was given up. */
  takeLeft(): RowGroup[] {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const left = [...this.#batch.filter(({ done, rows }) => done < rows.length), ...this.#queue.take(this.#queue.size)];
    this.#batch = [];
    this.#batchOldest = Number.POSITIVE_INFINITY;
    return left;
  }

  #isReady(): boolean {
    return this.#isDue || this.#queue.size >= this.#options.batchRows || this.#queue.oldest <= this.#flushTo;
  }

  async #work(): Promise<void> {
    const { batchRows, delivery, signal, onBatchEnd } = this.#options;
    while (!signal.aborted && this.#queue.size > 0 && this.#isReady()) {
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
      this.#isDue = false;
      this.#batchOldest = this.#queue.oldest;
      this.#batch = this.#queue.take(batchRows);
      for (const group of this.#batch) if (!(await delivery.deliver(group))) break;
      if (this.#batch.every(({ done, rows }) => done === rows.length)) {
        this.#batch = [];
        this.#batchOldest = Number.POSITIVE_INFINITY;
      }
      onBatchEnd();
    }
    this.#working = undefined;
    this.kick();
  }
}
