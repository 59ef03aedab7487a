/** A spool in memory: slow, bounded, sometimes refusing; of a killed process it keeps what a disk would. */

import type { Appended, SpoolLog, SpoolRecord } from "../../src/coordinator/spool/spool-log-port.ts";

import { StoreError } from "../../src/errors/store-error.ts";
import { pause } from "../../src/resilience/clock.ts";
import type { ManualClock } from "../support/manual-clock.ts";
import type { SeededRandom } from "./seeded-random.ts";

const BATCH = 3;

export class SimulatedSpool implements SpoolLog {
  readonly maxBytes: number;
  readonly damaged = 0;
  readonly fault = undefined;
  nextSequence = 1;
  readonly #records = new Map<number, SpoolRecord>();
  readonly #random: SeededRandom;
  readonly #clock: ManualClock;
  #roomWanted = Promise.withResolvers<void>();
  #isDead = false;

  constructor(random: SeededRandom, clock: ManualClock, maxBytes: number) {
    this.#random = random;
    this.#clock = clock;
    this.maxBytes = maxBytes;
  }

  get depth(): number {
    return this.#records.size;
  }

  get bytes(): number {
    let bytes = 0;
    for (const { record } of this.#records.values()) bytes += record.byteLength;
    return bytes;
  }

  get oldestAcceptedAt(): number | undefined {
    const [first] = this.#records.values();
    return first?.acceptedAt;
  }

  /** All that is accepted and not acknowledged. */
  unacknowledged(): readonly SpoolRecord[] {
    return [...this.#records.values()];
  }

  /** What the next process finds; this one's was killed. */
  successor(): SimulatedSpool {
    this.#isDead = true;
    const next = new SimulatedSpool(this.#random, this.#clock, this.maxBytes);
    for (const [sequence, record] of this.#records) next.#records.set(sequence, record);
    next.nextSequence = this.nextSequence;
    return next;
  }

  async append(records: readonly Uint8Array[], acceptedAt = 0): Promise<Appended> {
    const bytes = records.reduce((sum, record) => sum + record.byteLength, 0);
    if (bytes > this.maxBytes) throw new StoreError("usage", "A record is too large.");
    if (this.bytes + bytes > this.maxBytes) throw new StoreError("spool_full", "The spool is full.");
    if (this.#random.chance(0.02)) throw new StoreError("spool_unavailable", "The disk failed.");
    const first = this.nextSequence;
    this.nextSequence += records.length;
    if (this.#random.chance(0.5)) await pause(this.#clock, this.#random.whole(1, 20));
    if (this.#isDead) return new Promise(() => {});
    for (const [at, record] of records.entries()) {
      this.#records.set(first + at, { sequence: first + at, acceptedAt, record });
    }
    return { first };
  }

  async waitForRoom(bytes: number, signal?: AbortSignal): Promise<void> {
    while (this.bytes + bytes > this.maxBytes) {
      const stopped = new Promise<never>((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      });
      signal?.throwIfAborted();
      await Promise.race([this.#roomWanted.promise, stopped]);
    }
  }

  async *read(from = 0): AsyncGenerator<SpoolRecord[]> {
    let at = from;
    // What becomes durable while it is read may come or not.
    const end = this.#random.chance(0.5) ? this.nextSequence : Number.POSITIVE_INFINITY;
    for (;;) {
      const rest = [...this.#records.values()].filter(({ sequence }) => sequence >= at && sequence < end);
      const batch = rest.slice(0, BATCH);
      if (batch.length === 0) return;
      at = batch.at(-1)!.sequence + 1;
      if (this.#random.chance(0.3)) await pause(this.#clock, this.#random.whole(1, 10));
      if (this.#isDead) await new Promise(() => {});
      yield batch;
    }
  }

  acknowledge(sequences: ArrayLike<number>): void {
    if (this.#isDead) return;
    for (const sequence of Array.from(sequences)) this.#records.delete(sequence);
    this.#roomWanted.resolve();
    this.#roomWanted = Promise.withResolvers<void>();
  }

  async close(): Promise<void> {}
}
