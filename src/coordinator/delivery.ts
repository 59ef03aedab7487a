/**
 * Brings a group of rows to its sink, or, row by row, to the dead letters. A failure that may pass is tried again with
 * growing pauses; one of the rows themselves halves the group until the bad row is alone. Only tries that the closed
 * circuit let through count as attempts: an outage, however long, uses up none. Ends early only by its signal, and then
 * the group says how far it came.
 */

import type { DatasetName } from "../datasets/registry.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { messageOf } from "../errors/store-error.ts";
import { type BackoffOptions, backoffMs } from "../resilience/backoff.ts";
import type { CircuitBreaker, Permit } from "../resilience/circuit-breaker.ts";
import { type Clock, pause } from "../resilience/clock.ts";
import type { Sink, SinkOutcome } from "../sinks/sink.ts";
import type { DeadLetter } from "./dead-letters/dead-letter.ts";
import type { DeadLetters } from "./dead-letters/dead-letters-port.ts";
import { judgeFailure, type Verdict } from "./judge-failure.ts";
import type { RowGroup } from "./row-queue.ts";

export interface RetryOptions extends BackoffOptions {
  /** Tries of one batch while the circuit is closed. */
  readonly maxAttempts: number;
}

export interface DeliveryOptions {
  readonly coordinatorId: string;
  readonly sinks: Readonly<Partial<Record<DatasetName, Sink>>>;
  readonly breaker: CircuitBreaker;
  readonly retry: RetryOptions;
  readonly deadLetters: DeadLetters;
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Told of every write: its time, and the error's code where it failed. */
  readonly onWrite: (seconds: number, errorCode: ErrorCode | undefined) => void;
  /** Told when dead letters could not be kept; they are tried again. */
  readonly onDeadLetterFailure: (error: unknown) => void;
  /** The next `rows` rows of a group are stored (`outcome`) or, as far as they were given up, in the dead letters. */
  readonly onDone: (group: RowGroup, rows: number, outcome: SinkOutcome | undefined, deadLettered: number) => void;
}

/** Why rows are given up. */
interface Reason {
  readonly code: ErrorCode;
  readonly message: string;
  readonly attempts: number;
}

/** Letters that could not be kept are tried again at this pace: a full disk is mended by a person. */
const LETTER_BACKOFF: BackoffOptions = { initialMs: 50, maxMs: 5_000, multiplier: 2, jitter: true };

export class Delivery {
  readonly #options: DeliveryOptions;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /** True when every row of the group is done; false when the signal ended it before. Never throws. */
  async deliver(group: RowGroup): Promise<boolean> {
    // Ends of ranges that begin where the group is done, the innermost last.
    const ends = [group.rows.length];
    while (ends.length > 0) {
      const to = ends.at(-1)!;
      const next = await this.#deliverRange(group, to).catch((error: unknown) => this.#failed(group, to, error));
      if (next === "ended") return false;
      if (next === "halve") ends.push(group.done + Math.ceil((to - group.done) / 2));
      else ends.pop();
    }
    return true;
  }

  /** Tries the rows up to `to` until they are done or must be halved. */
  async #deliverRange(group: RowGroup, to: number): Promise<"done" | "halve"> {
    const { breaker, signal, retry, clock, random } = this.#options;
    let tries = 0;
    let attempts = 0;
    for (;;) {
      let permit = await breaker.enter(signal);
      while (!permit.isCurrent) permit = await breaker.enter(signal);
      tries++;
      const outcome = await this.#try(group, to, permit);
      if (!("verdict" in outcome)) return this.#stored(group, to, outcome, tries);
      const { verdict, code, message } = outcome;
      if (verdict === "row" && to - group.done > 1) return "halve";
      if (verdict === "row" || verdict === "batch") return this.#giveUp(group, to, { code, message, attempts: tries });
      if (verdict === "away" && breaker.state !== "closed") {
        attempts = 0; // It was an outage: what failed in it says nothing about these rows.
        continue;
      }
      attempts++;
      // While nobody succeeds it may be an outage that has not opened the circuit yet.
      const isAlone = verdict === "again" || breaker.failures < attempts;
      if (isAlone && attempts >= retry.maxAttempts) return this.#giveUp(group, to, { code, message, attempts: tries });
      await pause(clock, backoffMs(retry, attempts, random), signal);
    }
  }

  async #try(
    group: RowGroup,
    to: number,
    permit: Permit,
  ): Promise<SinkOutcome | { verdict: Verdict; code: ErrorCode; message: string }> {
    const { sinks, signal, clock, onWrite } = this.#options;
    const { tenantId, dataset } = group.stream;
    const rows = group.done === 0 && to === group.rows.length ? group.rows : group.rows.slice(group.done, to);
    const startedAt = clock.now();
    try {
      const outcome = await sinks[dataset]!.write({ tenantId, rows }, signal);
      permit.report("success");
      onWrite((clock.now() - startedAt) / 1_000, undefined);
      return outcome;
    } catch (error) {
      if (signal.aborted) {
        permit.report("unknown");
        throw error;
      }
      const failure = judgeFailure(error);
      permit.report(failure.verdict === "away" ? "failure" : "success");
      onWrite((clock.now() - startedAt) / 1_000, failure.code);
      return failure;
    }
  }

  /** What is thrown here is the signal's end or a fault of ours, which must not cost more than these rows' delivery. */
  async #failed(group: RowGroup, to: number, error: unknown): Promise<"done" | "ended"> {
    if (this.#options.signal.aborted) return "ended";
    const message = `Writing failed unexpectedly: ${messageOf(error)}`;
    return this.#giveUp(group, to, { code: "internal", message, attempts: 1 }).catch(() => "ended" as const);
  }

  async #stored(group: RowGroup, to: number, outcome: SinkOutcome, attempts: number): Promise<"done"> {
    const letters = outcome.rejections.map(({ index, code, message }) =>
      this.#letter(group, group.done + index, { code, message, attempts }),
    );
    return this.#finish(group, to, letters, outcome);
  }

  async #giveUp(group: RowGroup, to: number, reason: Reason): Promise<"done"> {
    return this.#finish(group, to, this.#letters(group, group.done, to, reason), undefined);
  }

  /** Rows stay held, and their producers wait, until the letters are durable. */
  async #finish(
    group: RowGroup,
    to: number,
    letters: readonly DeadLetter[],
    outcome: SinkOutcome | undefined,
  ): Promise<"done"> {
    if (letters.length > 0) {
      group.undelivered = { to, letters };
      await this.#keep(letters);
      group.undelivered = undefined;
    }
    this.#options.onDone(group, to - group.done, outcome, letters.length);
    return "done";
  }

  /** The letters of all rows that are neither stored nor in the dead letters, for whoever ends the coordinator. */
  lettersOf(group: RowGroup, reason: Reason): DeadLetter[] {
    const { to, letters } = group.undelivered ?? { to: group.done, letters: [] };
    return [...letters, ...this.#letters(group, to, group.rows.length, reason)];
  }

  #letters(group: RowGroup, from: number, to: number, reason: Reason): DeadLetter[] {
    const letters: DeadLetter[] = [];
    for (let at = from; at < to; at++) letters.push(this.#letter(group, at, reason));
    return letters;
  }

  #letter(group: RowGroup, at: number, { code, message, attempts }: Reason): DeadLetter {
    const { coordinatorId } = this.#options;
    return {
      acceptedAt: group.acceptedAt[at]!,
      tenantId: group.stream.tenantId,
      dataset: group.stream.dataset,
      code,
      error: message,
      attempts,
      metadata: { coordinator_id: coordinatorId },
      row: group.rows[at],
    };
  }

  async #keep(letters: readonly DeadLetter[]): Promise<void> {
    const { deadLetters, clock, random, signal, onDeadLetterFailure } = this.#options;
    for (let failures = 1; ; failures++) {
      try {
        await deadLetters.append(letters);
        return;
      } catch (error) {
        onDeadLetterFailure(error);
        await pause(clock, backoffMs(LETTER_BACKOFF, Math.min(failures, 10), random), signal);
      }
    }
  }
}
