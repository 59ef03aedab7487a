/** Rows that a producer has handed over, as far as they are accepted; and what a producer is told when they are not. */
import type { ErrorCode } from "../errors/codes.ts";
import { StoreError } from "../errors/store-error.ts";
import type { HashedStream } from "./lanes.ts";

/** Why rows were refused, or given up without having been stored: the label of a metric. */
export type DropReason = "oldest" | "queue_full" | "wait_ended" | "stopped" | "spool_failed" | "lost_at_stop";

export interface Submission {
  readonly stream: HashedStream;
  readonly rows: readonly unknown[];
  /** So many, from the first, are accepted. */
  accepted: number;
  readonly signal: AbortSignal | undefined;
}

/** Where submissions become accepted rows. */
export interface Intake {
  /** Ordinal of the row that was accepted last. */
  readonly lastAccepted: number;
  /** Ordinal of the oldest accepted row that is in no lane; infinite when all are. */
  readonly oldestOutside: number;
  /** Submissions that wait. */
  readonly waiting: number;
  /** Resolves when all rows are accepted. @throws StoreError whose `details.accepted` says how many, from the first, are. */
  offer(submission: Submission): Promise<void>;
  /** There may be room, or the circuit has changed. */
  wake(): void;
  /** Accepts nothing more; those who wait are told so. Resolves when what was under way is decided. */
  close(): Promise<void>;
}

/** A submission that waits, and how its producer is told. */
export class WaitingSubmission {
  readonly submission: Submission;
  readonly promise: Promise<void>;
  readonly #settle: { resolve: () => void; reject: (error: unknown) => void };
  readonly #stop: (() => void) | undefined;

  /** @param onStop - Told when the producer does not wait any longer. */
  constructor(submission: Submission, onStop: (waiting: WaitingSubmission) => void) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.submission = submission;
    this.promise = promise;
    this.#settle = { resolve, reject };
    if (submission.signal !== undefined) {
      this.#stop = () => onStop(this);
      submission.signal.addEventListener("abort", this.#stop, { once: true });
    }
  }

  resolve(): void {
    this.#unlisten();
    this.#settle.resolve();
  }

  reject(error: unknown): void {
    this.#unlisten();
    this.#settle.reject(error);
  }

  #unlisten(): void {
    if (this.#stop !== undefined) this.submission.signal?.removeEventListener("abort", this.#stop);
  }
}

const SENTENCES = {
  queue_full: "The queue is full; submit the rest again later, or slower.",
  aborted: "The call was stopped by its caller while it waited for room.",
  shutting_down: "The coordinator is stopping and accepts no more rows.",
} as const satisfies Partial<Record<ErrorCode, string>>;

/** What a producer gets whose rows are not, or not all, accepted. */
export function refusal(submission: Submission, code: keyof typeof SENTENCES): StoreError {
  return refusalBecause(submission, new StoreError(code, SENTENCES[code]));
}

/** The same, with an error from elsewhere. */
export function refusalBecause({ rows, accepted }: Submission, error: StoreError): StoreError {
  return new StoreError(error.code, `${error.message} (${accepted} of ${rows.length} rows were accepted.)`, {
    cause: error,
    details: { ...error.details, accepted },
  });
}
