/**
 * Accepts rows into memory. Producers for whom there is no room wait in the order in which they came (`block`), are
 * refused (`error`), or push the oldest waiting rows out (`drop_oldest`). Who is refused knows how many were accepted.
 */
import type { Clock } from "../resilience/clock.ts";
import type { Lanes } from "./lanes.ts";
import { type DropReason, type Intake, refusal, type Submission, WaitingSubmission } from "./submission.ts";

/** What happens to rows for which there is no room. */
export type OverflowStrategy = "block" | "drop_oldest" | "error";

/** Each holds its caller's rows; so many callers at once do not wait for each other's answers any more. */
export const MAX_WAITING_SUBMISSIONS = 10_000;
const ACCEPTED: Promise<void> = Promise.resolve();

export interface MemoryIntakeOptions {
  readonly lanes: Lanes;
  readonly overflow: OverflowStrategy;
  readonly clock: Clock;
  readonly onAccepted: (rows: number) => void;
  readonly onDropped: (reason: DropReason, rows: number) => void;
}

export class MemoryIntake implements Intake {
  readonly oldestOutside = Number.POSITIVE_INFINITY;
  readonly #options: MemoryIntakeOptions;
  readonly #waiting = new Set<WaitingSubmission>();
  #lastAccepted = 0;

  constructor(options: MemoryIntakeOptions) {
    this.#options = options;
  }

  get lastAccepted(): number {
    return this.#lastAccepted;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  offer(submission: Submission): Promise<void> {
    // Nobody overtakes those who wait.
    if (this.#waiting.size === 0) this.#admit(submission);
    if (submission.accepted === submission.rows.length) return ACCEPTED;
    if (this.#options.overflow === "error" || this.#waiting.size >= MAX_WAITING_SUBMISSIONS) {
      this.#countRest(submission, "queue_full");
      return Promise.reject(refusal(submission, "queue_full"));
    }
    const waiting = new WaitingSubmission(submission, (stopped) => this.#refuse(stopped, "aborted"));
    this.#waiting.add(waiting);
    return waiting.promise;
  }

  wake(): void {
    for (const waiting of this.#waiting) {
      this.#admit(waiting.submission);
      if (waiting.submission.accepted < waiting.submission.rows.length) return;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }

  async close(): Promise<void> {
    for (const waiting of this.#waiting) this.#refuse(waiting, "shutting_down");
  }

  /** Accepts as many rows as there is room for; of more than the queue holds, the first are pushed out by those behind. */
  #admit(submission: Submission): void {
    do {
      this.#makeRoom(submission);
      if (this.#options.lanes.room === 0) return;
      this.#admitSome(submission);
    } while (this.#options.overflow === "drop_oldest" && submission.accepted < submission.rows.length);
  }

  #admitSome(submission: Submission): void {
    const { lanes, clock, onAccepted } = this.#options;
    const { stream, rows, accepted } = submission;
    const to = Math.min(rows.length, accepted + lanes.room);
    const acceptedAt = clock.epochMs();
    lanes.reserve(to - accepted);
    for (let at = accepted; at < to; at++) lanes.push(stream, rows[at], ++this.#lastAccepted, acceptedAt);
    submission.accepted = to;
    onAccepted(to - accepted);
    lanes.kick();
  }

  #makeRoom({ rows, accepted }: Submission): void {
    const { lanes, overflow, onDropped } = this.#options;
    if (overflow !== "drop_oldest") return;
    const lacking = Math.min(rows.length - accepted, lanes.capacity) - lanes.room;
    let dropped = 0;
    while (dropped < lacking && lanes.dropOldest()) dropped++;
    if (dropped > 0) onDropped("oldest", dropped);
  }

  #refuse(waiting: WaitingSubmission, code: "aborted" | "shutting_down"): void {
    this.#waiting.delete(waiting);
    this.#countRest(waiting.submission, code === "aborted" ? "wait_ended" : "stopped");
    waiting.reject(refusal(waiting.submission, code));
  }

  #countRest({ rows, accepted }: Submission, reason: DropReason): void {
    this.#options.onDropped(reason, rows.length - accepted);
  }
}
