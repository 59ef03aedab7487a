/**
 * One seeded life of a coordinator: random options, random producers, random faults, and an oracle of every row.
 *
 * Invariants, checked at every step or at the end:
 * - bounded memory: never more rows held than the capacity;
 * - order: a key's stored version never goes back, and no key is written by two workers at once;
 * - no lost wake-up: once the database is back, every submission and flush ends and the queue empties;
 * - exactly one probe: no write while the circuit is open, one at a time while it is half-open;
 * - every accepted row ends in the sink, in the dead letters, dropped (drop_oldest), or, after a stop, in the spool;
 *   in more than one of them only where a commit's answer was lost;
 * - drop counts are exact for each reason, refused rows included, and none is dropped that had room;
 * - feedback: each event's level fits its queue size, and no two in a row are of the same level.
 */
import type { DeadLetter } from "../../src/coordinator/dead-letters/dead-letter.ts";
import type { OverflowStrategy } from "../../src/coordinator/memory-intake.ts";
import { decodeSpooledRow } from "../../src/coordinator/spool/row-codec.ts";
import { WriteCoordinator } from "../../src/coordinator/write-coordinator.ts";
import { StoreError } from "../../src/errors/store-error.ts";
import { FeedbackBus } from "../../src/feedback/feedback-bus.ts";
import type { IngestMetrics } from "../../src/telemetry/ingest-metrics.ts";
import { ManualClock, settled } from "../support/manual-clock.ts";
import { SeededRandom } from "./seeded-random.ts";
import { type SimulatedRow, SimulatedSink } from "./simulated-sink.ts";
import { SimulatedSpool } from "./simulated-spool.ts";

const TENANTS = ["tenant-a", "tenant-b"];
const SYMBOLS = ["A", "B", "C", "D", "E", "F"];
/** Longer than many probes. */
const REST_MS = 2_000;
/** Longer than any drain with what comes after it. */
const STOP_MS = 20_000;

interface SimulationResult {
  readonly violations: readonly string[];
  /** What happened, so that a set of runs can be asked whether it saw everything. */
  readonly seen: ReadonlySet<string>;
}

export async function simulateCoordinator(seed: number): Promise<SimulationResult> {
  return new Simulation(seed).run();
}

class Simulation {
  readonly #random: SeededRandom;
  readonly #clock = new ManualClock();
  readonly #violations: string[] = [];
  readonly #seen = new Set<string>();
  readonly #accepted = new Set<number>();
  readonly #letters = new Map<number, number>();
  readonly #dropped = new Map<string, number>();
  readonly #versions = new Map<string, number>();
  readonly #overflow: OverflowStrategy;
  readonly #tuning: {
    workers: number;
    batchRows: number;
    capacity: number;
    highWatermark: number;
    lowWatermark: number;
  };
  #sink: SimulatedSink;
  #spool: SimulatedSpool | undefined;
  #coordinator: WriteCoordinator;
  #refused = 0;
  #lettersFail = 0;
  #nextId = 0;
  #pending = 0;
  #generation = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    const random = this.#random;
    const [workers, batchRows] = [random.whole(1, 4), random.whole(1, 5)];
    this.#tuning = {
      workers,
      batchRows,
      capacity: 4 * workers * batchRows * random.whole(1, 3),
      highWatermark: 0.8,
      lowWatermark: 0.5,
    };
    this.#overflow = random.pick(["block", "block", "drop_oldest", "error"] as const);
    if (this.#overflow !== "drop_oldest" && random.chance(0.5)) {
      this.#spool = new SimulatedSpool(random, this.#clock, random.pick([2_000, 10_000, 1_000_000]));
    }
    this.#lettersFail = random.pick([0, 0, 0.3]);
    this.#sink = new SimulatedSink(random, this.#clock, {
      conflict: random.pick([0, 0.1, 0.3]),
      lostAnswer: random.pick([0, 0.1]),
      slow: random.pick([0, 0.3, 0.8]),
      hang: random.pick([0, 0, 0.01]),
    });
    this.#coordinator = this.#start();
  }

  async run(): Promise<SimulationResult> {
    const steps = this.#random.whole(5, 60);
    for (let step = 0; step < steps; step++) {
      await this.#step();
      this.#checkBound();
    }
    await this.#end();
    this.#violations.push(...this.#sink.violations);
    return { violations: this.#violations, seen: this.#seen };
  }

  #start(): WriteCoordinator {
    const random = this.#random;
    const generation = ++this.#generation;
    const feedback = new FeedbackBus();
    let level = "ok";
    feedback.subscribe({
      name: "oracle",
      capacity: 100_000,
      deliver: (event) => {
        const { low, high } = { low: Math.floor(event.capacity * 0.5), high: Math.ceil(event.capacity * 0.8) };
        const fitting = event.queue_size >= high ? "hard" : event.queue_size <= low ? "ok" : "soft";
        if (event.level !== fitting)
          this.#violations.push(`${event.level} at ${event.queue_size} of ${event.capacity}`);
        if (event.level === level) this.#violations.push(`${level} twice in a row`);
        level = event.level;
        this.#seen.add(`feedback ${event.reason}`);
      },
    });
    const coordinator = new WriteCoordinator({
      ...this.#tuning,
      overflow: this.#overflow,
      flushIntervalMs: random.whole(0, 100),
      retry: { maxAttempts: random.whole(1, 4), initialMs: 10, maxMs: 100 },
      breaker: { failuresToOpen: random.whole(1, 5), halfOpenAfterMs: random.whole(50, 1_000) },
      sinks: { bars: this.#sink },
      deadLetters: { append: (letters) => this.#keepLetters(letters, generation), close: async () => {} },
      tenantId: TENANTS[0],
      spool: this.#spool,
      feedback,
      metrics: this.#metrics(generation),
      clock: this.#clock,
      random: random.next,
    });
    this.#sink.circuit = () => {
      const { circuit } = coordinator.health();
      this.#seen.add(`circuit ${circuit}`);
      return circuit;
    };
    return coordinator;
  }

  #metrics(generation: number): IngestMetrics {
    const countDropped = (_: string, reason: string, rows: number): void => {
      if (generation !== this.#generation) return;
      this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + rows);
      this.#seen.add(`dropped ${reason}`);
    };
    const quiet = (): void => {};
    return { countDropped, countSubmitted: quiet, countWrite: quiet, watchCoordinator: () => quiet } as never;
  }

  async #keepLetters(letters: readonly DeadLetter[], generation: number): Promise<void> {
    if (generation !== this.#generation) return new Promise(() => {});
    if (this.#random.chance(this.#lettersFail)) throw new StoreError("internal", "No room.");
    for (const { row, code } of letters) {
      const { id } = row as SimulatedRow;
      this.#letters.set(id, (this.#letters.get(id) ?? 0) + 1);
      this.#seen.add(`letter ${code}`);
    }
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const kind = random.whole(1, 20);
    if (kind <= 10) this.#submit();
    else if (kind <= 15) await this.#clock.advance(random.pick([0, 1, 20, 150, 2_000]));
    else if (kind === 16) this.#sink.isDown = !this.#sink.isDown;
    else if (kind === 17) void this.#flush();
    else if (kind === 18 && this.#spool !== undefined && random.chance(0.3)) await this.#kill();
    else await settled();
  }

  #submit(): void {
    const random = this.#random;
    const tenantId = random.pick(TENANTS);
    const rows = Array.from({ length: random.pick([1, 1, 2, 3, 5, 10, 40]) }, () => this.#row(tenantId));
    const signal = random.chance(0.1) ? random.whole(1, 200) : undefined;
    const controller = new AbortController();
    if (signal !== undefined) this.#clock.after(signal, () => controller.abort(new StoreError("aborted", "Stop.")));
    const generation = this.#generation;
    const dropped = this.#dropped.get("oldest") ?? 0;
    this.#pending++;
    const submitted = this.#coordinator.submitMany("bars", rows, { tenantId, signal: controller.signal });
    const { queueSize, capacity } = this.#coordinator.health();
    if ((this.#dropped.get("oldest") ?? 0) > dropped && queueSize < capacity) {
      this.#violations.push(`rows were dropped although ${capacity - queueSize} had room`);
    }
    submitted.then(
      () => {
        if (generation !== this.#generation) return;
        this.#pending--;
        for (const { id } of rows) this.#accepted.add(id);
      },
      (error: StoreError) => {
        if (generation !== this.#generation) return;
        this.#pending--;
        const accepted = error.details["accepted"] as number;
        for (const { id } of rows.slice(0, accepted)) this.#accepted.add(id);
        this.#refused += rows.length - accepted;
        this.#seen.add(`refused ${error.code}`);
      },
    );
  }

  #row(tenantId: string): SimulatedRow {
    const symbol = this.#random.pick(SYMBOLS);
    const key = `${tenantId}/${symbol}`;
    const version = (this.#versions.get(key) ?? 0) + 1;
    this.#versions.set(key, version);
    const kind = this.#random.chance(0.05) ? "bad" : this.#random.chance(0.05) ? "rejected" : "good";
    return { id: this.#nextId++, vendor: "v", symbol, version, kind };
  }

  async #flush(): Promise<void> {
    const mine = new Set(this.#accepted);
    const generation = this.#generation;
    this.#pending++;
    await this.#coordinator.flush().then(
      () => {
        if (generation !== this.#generation) return;
        this.#pending--;
        this.#seen.add("flushed");
        const missing = [...mine].filter((id) => !this.#sink.stored.has(id) && !this.#letters.has(id));
        const dropped = this.#dropped.get("oldest") ?? 0;
        if (missing.length > dropped) this.#violations.push(`a flush left ${missing.length - dropped} rows`);
      },
      () => {
        if (generation === this.#generation) this.#pending--;
      },
    );
  }

  /** kill -9, and another process on the same spool. */
  async #kill(): Promise<void> {
    await settled();
    this.#seen.add("killed");
    this.#violations.push(...this.#sink.violations);
    this.#sink = this.#sink.successor();
    this.#spool = this.#spool!.successor();
    this.#pending = 0;
    this.#coordinator = this.#start();
  }

  #checkBound(): void {
    const { queueSize, capacity } = this.#coordinator.health();
    if (queueSize < 0 || queueSize > capacity) this.#violations.push(`${queueSize} of ${capacity} rows held`);
  }

  async #end(): Promise<void> {
    const isStoppedEarly = this.#random.chance(0.5);
    if (!isStoppedEarly) await this.#comeToRest();
    const drain = this.#random.chance(0.7);
    const stopping = this.#coordinator.stop({ drain, timeoutMs: this.#random.pick([0, 50, 5_000]) });
    await this.#clock.advance(STOP_MS);
    const report = await stopping;
    await settled();
    if (this.#pending !== 0) this.#violations.push(`${this.#pending} calls never ended`);
    if (report.left > 0) this.#seen.add(this.#spool ? "left in the spool" : "left to the dead letters");
    if (this.#clock.timers > 0 && !this.#seen.has("killed")) this.#checkTimers();
    this.#checkRows(report.lost);
  }

  #checkTimers(): void {
    // Those of signals of submissions are the simulation's own; all of them are over by now.
    this.#violations.push(`${this.#clock.timers} timers were left`);
  }

  /** The database is back, time passes: everything must end. */
  async #comeToRest(): Promise<void> {
    this.#sink.isDown = false;
    this.#lettersFail = 0;
    void this.#flush();
    for (let round = 0; round < 50 && (this.#pending > 0 || this.#coordinator.health().queueSize > 0); round++) {
      await this.#clock.advance(REST_MS);
    }
    // A sink that hangs for ever holds its lane for ever: that it ends is its part of the contract.
    if (this.#sink.hanging > 0) return;
    const { queueSize } = this.#coordinator.health();
    if (this.#pending > 0) this.#violations.push(`${this.#pending} calls still wait`);
    if (queueSize > 0) this.#violations.push(`${queueSize} rows still wait`);
    if (this.#coordinator.health().rows.dropped === 0) this.#violations.push(...this.#sink.staleKeys());
    this.#seen.add("came to rest");
  }

  #checkRows(lost: number): void {
    const inSpool = new Set<number>();
    for (const { record } of this.#spool?.unacknowledged() ?? []) {
      inSpool.add((decodeSpooledRow(record).row as SimulatedRow).id);
    }
    let missing = 0;
    for (const id of this.#accepted) {
      const places = [this.#sink.stored.has(id), this.#letters.has(id), inSpool.has(id)].filter(Boolean).length;
      if (places === 0) missing++;
      else if (places > 1 && !this.#mayBeTwice(id)) this.#violations.push(`row ${id} is in ${places} places`);
    }
    if (this.#seen.has("killed")) {
      if (missing > 0) this.#violations.push(`${missing} rows are gone after a kill`);
      return;
    }
    const dropped = this.#dropped.get("oldest") ?? 0;
    // Of the rows that a stop gave up, some may have been stored by a call whose answer was lost.
    const surplus = dropped + lost - missing;
    if (surplus < 0 || surplus > Math.min(lost, this.#sink.doubtful.size))
      this.#violations.push(`${missing} rows are gone, ${dropped} dropped, ${lost} lost`);
    const counted = [...this.#dropped].reduce((sum, [, rows]) => sum + rows, 0) - dropped - lost;
    if (counted !== this.#refused) this.#violations.push(`${counted} refused rows counted, ${this.#refused} refused`);
  }

  /** Where an answer was lost, a process killed, or a stored row's neighbours wait in the spool for their letters. */
  #mayBeTwice(id: number): boolean {
    return this.#sink.doubtful.has(id) || this.#seen.has("killed") || (this.#lettersFail > 0 && !this.#letters.has(id));
  }
}
