/** What became of a coordinator's rows, and who waits until all up to a certain one are done. */
import type { SinkOutcome } from "../sinks/sink.ts";

/** Rows by what became of them. */
export interface RowCounts {
  readonly inserted: number;
  readonly updated: number;
  /** Rows that were stored with the same values already. */
  readonly unchanged: number;
  /** Rows that a later row of the same key in the same batch replaced. */
  readonly superseded: number;
  readonly deadLettered: number;
  /** Rows that were pushed out by newer ones; only with `drop_oldest`. */
  readonly dropped: number;
}

const NAMES = ["inserted", "updated", "unchanged", "superseded", "deadLettered", "dropped"] as const;
type Counts = { -readonly [Name in keyof RowCounts]: number };

interface Waiter {
  /** Ordinal of the last row waited for. */
  readonly mark: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const noRows = (): Counts => ({ inserted: 0, updated: 0, unchanged: 0, superseded: 0, deadLettered: 0, dropped: 0 });

export class Accounts {
  readonly #total = noRows();
  #reported = noRows();
  readonly #waiters = new Set<Waiter>();

  /** All rows since the start. */
  get total(): RowCounts {
    return { ...this.#total };
  }

  add(outcome: SinkOutcome | undefined, deadLettered: number): void {
    const total = this.#total;
    if (outcome !== undefined) {
      total.inserted += outcome.inserted;
      total.updated += outcome.updated;
      total.unchanged += outcome.unchanged;
      total.superseded += outcome.superseded;
    }
    total.deadLettered += deadLettered;
  }

  addDropped(rows: number): void {
    this.#total.dropped += rows;
  }

  /** The rows that were done since this was asked last. */
  takeNew(): RowCounts {
    const counts = noRows();
    for (const name of NAMES) counts[name] = this.#total[name] - this.#reported[name];
    this.#reported = { ...this.#total };
    return counts;
  }

  /** Resolves when `settle` was told that all rows up to `mark` are done. @throws The signal's reason. */
  async wait(mark: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { mark, resolve, reject };
    const stop = (): void => reject(signal?.reason);
    this.#waiters.add(waiter);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      await promise;
    } finally {
      this.#waiters.delete(waiter);
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Tells those who wait that all rows before `oldest` are done. */
  settle(oldest: () => number): void {
    if (this.#waiters.size === 0) return;
    const undone = oldest();
    for (const waiter of this.#waiters) if (waiter.mark < undone) waiter.resolve();
  }

  /** Ends all waiting. */
  end(error: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(error);
  }
}
