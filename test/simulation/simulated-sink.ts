/**
 * A sink with a memory of all that it committed and a seeded will to fail: outages, conflicts, answers lost after the
 * commit, bad rows, slow and hanging calls. It checks what a coordinator promises each time it is called.
 */
import { StoreError } from "../../src/errors/store-error.ts";
import { pause } from "../../src/resilience/clock.ts";
import type { Sink, SinkBatch, SinkOutcome } from "../../src/sinks/sink.ts";
import type { ManualClock } from "../support/manual-clock.ts";
import type { SeededRandom } from "./seeded-random.ts";

export interface SimulatedRow {
  readonly id: number;
  readonly vendor: string;
  readonly symbol: string;
  /** Grows with each row of the key. */
  readonly version: number;
  /** `bad` fails its whole batch, `rejected` costs itself only. */
  readonly kind: "good" | "bad" | "rejected";
}

export interface SinkFaults {
  readonly conflict: number;
  readonly lostAnswer: number;
  readonly slow: number;
  readonly hang: number;
}

const OUTAGES = ["database_unavailable", "database_overloaded", "deadline_exceeded"] as const;

export class SimulatedSink implements Sink {
  readonly name = "bars";
  /** Ids of rows that are stored. */
  readonly stored = new Set<number>();
  /** Ids of rows of a call that committed and failed all the same. */
  readonly doubtful = new Set<number>();
  readonly violations: string[] = [];
  /** Calls that do not end before they are told to. */
  hanging = 0;
  isDown = false;
  circuit: () => "closed" | "open" | "half_open" = () => "closed";
  /** Of each key the version that was written last, and the highest ever. */
  readonly #versions = new Map<string, number>();
  readonly #highest = new Map<string, number>();
  /** After a kill rows are replayed in their order, so versions may go back for a while. */
  #isReplaying = false;
  readonly #inFlight = new Set<string>();
  readonly #random: SeededRandom;
  readonly #clock: ManualClock;
  readonly #faults: SinkFaults;
  #isProbing = false;
  #isFenced = false;

  constructor(random: SeededRandom, clock: ManualClock, faults: SinkFaults) {
    this.#random = random;
    this.#clock = clock;
    this.#faults = faults;
  }

  /** A sink on the same memory for the process that comes after; this one's process was killed. */
  successor(): SimulatedSink {
    this.#isFenced = true;
    const next = new SimulatedSink(this.#random, this.#clock, this.#faults);
    for (const id of this.stored) next.stored.add(id);
    for (const id of this.doubtful) next.doubtful.add(id);
    for (const [key, version] of this.#versions) next.#versions.set(key, version);
    for (const [key, version] of this.#highest) next.#highest.set(key, version);
    next.#isReplaying = true;
    next.isDown = this.isDown;
    return next;
  }

  /** Keys whose value is not that of their newest row, now that nothing is left to be written. */
  staleKeys(): string[] {
    return [...this.#highest].filter(([key, version]) => this.#versions.get(key) !== version).map(([key]) => key);
  }

  async write({ tenantId, rows }: SinkBatch, signal: AbortSignal): Promise<SinkOutcome> {
    const given = rows as readonly SimulatedRow[];
    const keys = new Set(given.map(({ symbol }) => `${tenantId}/${symbol}`));
    const isProbe = this.#checkProbe();
    for (const key of keys)
      if (this.#inFlight.has(key)) this.violations.push(`${key} is written by two workers at once`);
    for (const key of keys) this.#inFlight.add(key);
    try {
      return await this.#writeKeys(tenantId, given, signal);
    } finally {
      if (isProbe) this.#isProbing = false;
      for (const key of keys) this.#inFlight.delete(key);
    }
  }

  /** Every key's last version never goes back. */
  #commit(tenantId: string, rows: readonly SimulatedRow[]): void {
    const last = new Map<string, number>();
    for (const { symbol, version } of rows) {
      const key = `${tenantId}/${symbol}`;
      if ((last.get(key) ?? -1) > version)
        this.violations.push(`${key}: ${version} after ${last.get(key)} in one batch`);
      last.set(key, version);
    }
    for (const [key, version] of last) {
      const before = this.#versions.get(key) ?? -1;
      if (version < before && !this.#isReplaying) this.violations.push(`${key} went back from ${before} to ${version}`);
      this.#versions.set(key, version);
      this.#highest.set(key, Math.max(version, this.#highest.get(key) ?? 0));
    }
    for (const { id } of rows) this.stored.add(id);
  }

  #checkProbe(): boolean {
    const circuit = this.circuit();
    if (circuit === "open") this.violations.push("a write while the circuit was open");
    if (circuit !== "half_open") return false;
    if (this.#isProbing) this.violations.push("two probes at once");
    this.#isProbing = true;
    return true;
  }

  async #writeKeys(tenantId: string, rows: readonly SimulatedRow[], signal: AbortSignal): Promise<SinkOutcome> {
    const random = this.#random;
    if (random.chance(this.#faults.hang)) await this.#hang(signal);
    if (random.chance(this.#faults.slow))
      await pause(this.#clock, random.whole(1, 400), signal).catch(() => this.#abort());
    if (this.#isFenced) await new Promise(() => {});
    if (this.isDown) throw new StoreError(random.pick(OUTAGES), "The database is away.");
    if (random.chance(this.#faults.conflict)) throw new StoreError("database_conflict", "Try again.");
    if (rows.some(({ kind }) => kind === "bad")) throw new StoreError("constraint_violated", "A row is bad.");
    const good = rows.filter(({ kind }) => kind === "good");
    this.#commit(tenantId, good);
    if (random.chance(this.#faults.lostAnswer)) {
      for (const { id } of good) this.doubtful.add(id);
      throw new StoreError("database_unavailable", "The connection broke in the commit.");
    }
    const rejections = rows.flatMap(({ kind }, index) =>
      kind === "rejected" ? [{ index, code: "field_invalid" as const, message: "It is bad." }] : [],
    );
    return { inserted: good.length, updated: 0, unchanged: 0, superseded: 0, rejections };
  }

  async #hang(signal: AbortSignal): Promise<void> {
    this.hanging++;
    await pause(this.#clock, 1e12, signal).catch(() => this.#abort());
  }

  #abort(): never {
    throw new StoreError("aborted", "The call was stopped.");
  }
}
