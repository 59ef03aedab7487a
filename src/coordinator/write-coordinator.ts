/**
 * Takes rows from any number of producers and brings them to their sinks over a few workers. What it accepted ends in a
 * sink or in the dead letters; memory is bounded; rows of one key keep their order; producers are told how hard they may
 * push. Idle, it does nothing at all. What each way of running it survives: docs/ingestion.md.
 */
import { DATASET_NAMES, type DatasetName } from "../datasets/registry.ts";
import { hideSecrets } from "../errors/hide-secrets.ts";
import { requireFields } from "../errors/require-fields.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import { CircuitBreaker, type CircuitState } from "../resilience/circuit-breaker.ts";
import { type Clock, SYSTEM_CLOCK } from "../resilience/clock.ts";
import type { SinkOutcome } from "../sinks/sink.ts";
import { Accounts, type RowCounts } from "./accounts.ts";
import { type CoordinatorOptions, type ResolvedTuning, resolveTuning } from "./coordinator-options.ts";
import { Delivery } from "./delivery.ts";
import type { CoordinatorHealth } from "./health.ts";
import { Lane } from "./lane.ts";
import { Lanes } from "./lanes.ts";
import { MemoryIntake } from "./memory-intake.ts";
import { Pressure } from "./pressure.ts";
import type { RowGroup } from "./row-queue.ts";
import { SpoolIntake } from "./spool-intake.ts";
import { type StopOptions, type StopReport, stopLanes } from "./stop-lanes.ts";
import { type DropReason, type Intake, refusal, type Submission } from "./submission.ts";

export interface SubmitOptions {
  /** UUID of the tenant; the coordinator's unless given. */
  readonly tenantId?: string;
  /** Ends the waiting for room. */
  readonly signal?: AbortSignal;
}

const NO_OPTIONS: SubmitOptions = {};
/** Feedback's source, as its contract has it. */
const SOURCE = "store";

export class WriteCoordinator {
  readonly id: string;
  readonly #options: CoordinatorOptions;
  readonly #tuning: ResolvedTuning;
  readonly #clock: Clock;
  readonly #breaker: CircuitBreaker;
  readonly #deliveries: readonly Delivery[];
  readonly #lanes: Lanes;
  readonly #intake: Intake;
  readonly #pressure: Pressure;
  readonly #accounts = new Accounts();
  readonly #ending = new AbortController();
  readonly #unwatch: (() => void) | undefined;
  #state: CoordinatorHealth["state"] = "running";
  #stopped: Promise<StopReport> | undefined;
  /** While stopping: when the drain ends, on the clock's `now`. */
  #drainEndsAt: number | undefined;

  /**
   * Begins at once, with what the spool holds from before.
   * @throws StoreError `usage` for options that are out of their range or contradict each other.
   */
  constructor(options: CoordinatorOptions) {
    this.id = options.id ?? "store";
    this.#options = options;
    this.#tuning = resolveTuning({ ...options, hasSpool: options.spool !== undefined });
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#pressure = new Pressure(this.#tuning.watermarks);
    this.#breaker = new CircuitBreaker({
      ...this.#tuning.breaker,
      clock: this.#clock,
      onChange: (state) => this.#circuitChanged(state),
    });
    this.#deliveries = Array.from({ length: this.#tuning.workers }, (_, workerId) => this.#newDelivery(workerId));
    this.#lanes = new Lanes(
      this.#deliveries.map((delivery) => this.#newLane(delivery)),
      this.#tuning.capacity,
    );
    this.#intake = this.#newIntake();
    this.#unwatch = options.metrics?.watchCoordinator(this.id, () => ({
      queueSize: this.#lanes.held,
      highWatermark: this.#tuning.watermarks.high,
      workersAlive: this.#workersAlive,
      circuit: this.#breaker.state,
    }));
  }

  /** One row; see `submitMany`. */
  submit(dataset: DatasetName, row: unknown, options?: SubmitOptions): Promise<void> {
    return this.submitMany(dataset, [row], options);
  }

  /**
   * Resolves when all rows are accepted: held in memory or, with a spool, on disk. The rows belong to the coordinator
   * from then on and must not be changed. Rows of one key are stored in the order in which they were submitted.
   *
   * @throws StoreError `queue_full`, `shutting_down`, `aborted`, and those of the spool; `details.accepted` says how many
   *   rows, from the first, were accepted all the same. `usage` for an unknown dataset or without a tenant.
   */
  submitMany(dataset: DatasetName, rows: readonly unknown[], options: SubmitOptions = NO_OPTIONS): Promise<void> {
    const fault = this.#faultOf(dataset, rows, options);
    if (fault !== undefined) return Promise.reject(fault);
    const tenantId = options.tenantId ?? this.#options.tenantId;
    const stream = this.#lanes.streamOf({ tenantId: tenantId!, dataset });
    const submission: Submission = { stream, rows, accepted: 0, signal: options.signal };
    if (this.#state !== "running") return this.#refuse(submission, "shutting_down", "stopped");
    if (options.signal?.aborted) return this.#refuse(submission, "aborted", "wait_ended");
    if (rows.length === 0) return Promise.resolve();
    return this.#intake.offer(submission);
  }

  /**
   * Resolves when every row that was accepted before is in the database or in the dead letters, and says what became of
   * all rows that were done since the flush before.
   *
   * @throws The signal's reason; StoreError `shutting_down` when a stop left rows in the spool.
   */
  async flush(options: { readonly signal?: AbortSignal } = {}): Promise<RowCounts> {
    requireFields("flush", options, ["signal"]);
    const { signal } = options;
    const report = this.#state === "stopped" ? await this.#stopped : undefined;
    if (report !== undefined && report.inSpool + report.lost > 0) throw notAllStored();
    const mark = this.#intake.lastAccepted;
    if (mark >= this.#oldest()) {
      this.#lanes.flushTo(mark);
      await this.#accounts.wait(mark, signal);
    }
    return this.#accounts.takeNew();
  }

  /**
   * Accepts nothing more, writes what it holds for at most `timeoutMs`, and hands the rest to the spool or, without one,
   * to the dead letters. It does not wait for a database that cannot be probed in that time. Never throws but for
   * options that are none: StoreError `usage`.
   */
  async stop(options: StopOptions = {}): Promise<StopReport> {
    requireFields("stop", options, ["drain", "timeoutMs"]);
    this.#stopped ??= this.#stop(options);
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop().then(() => {});
  }

  health(): CoordinatorHealth {
    const { spool } = this.#options;
    return {
      state: this.#state,
      workersAlive: this.#workersAlive,
      queueSize: this.#lanes.held,
      capacity: this.#tuning.capacity,
      level: this.#pressure.level,
      circuit: this.#breaker.state,
      waitingSubmissions: this.#intake.waiting,
      rows: this.#accounts.total,
      spool: spool && {
        depth: spool.depth,
        bytes: spool.bytes,
        maxBytes: spool.maxBytes,
        oldestAcceptedAt: spool.oldestAcceptedAt,
        fault: spool.fault === undefined ? undefined : hideSecrets(messageOf(spool.fault)),
        isBehind: Number.isFinite(this.#intake.oldestOutside),
      },
    };
  }

  get #workersAlive(): number {
    return this.#state === "stopped" ? 0 : this.#lanes.count;
  }

  #newDelivery(workerId: number): Delivery {
    const { sinks, deadLetters, metrics, log, random = Math.random } = this.#options;
    return new Delivery({
      coordinatorId: this.id,
      sinks,
      breaker: this.#breaker,
      retry: this.#tuning.retry,
      deadLetters,
      clock: this.#clock,
      random,
      signal: this.#ending.signal,
      onWrite: (seconds, errorCode) => metrics?.countWrite(this.id, workerId, seconds, errorCode),
      onDeadLetterFailure: (err) => log?.error({ err }, "Dead letters cannot be written; their rows are held."),
      onDone: (group, rows, outcome, deadLettered) => this.#done(group, rows, outcome, deadLettered),
    });
  }

  #newLane(delivery: Delivery): Lane {
    return new Lane({
      batchRows: this.#tuning.batchRows,
      flushIntervalMs: this.#tuning.flushIntervalMs,
      clock: this.#clock,
      delivery,
      signal: this.#ending.signal,
      onBatchEnd: () => this.#accounts.settle(() => this.#oldest()),
    });
  }

  #newIntake(): Intake {
    const { spool, metrics, log } = this.#options;
    const { overflow } = this.#tuning;
    const shared = {
      lanes: this.#lanes,
      clock: this.#clock,
      onAccepted: (rows: number) => {
        metrics?.countSubmitted(this.id, rows);
        this.#sizeChanged();
      },
      onDropped: (reason: DropReason, rows: number) => this.#dropped(reason, rows),
    };
    if (spool === undefined || overflow === "drop_oldest") return new MemoryIntake({ ...shared, overflow });
    return new SpoolIntake({
      ...shared,
      log: spool,
      overflow,
      circuit: () => this.#breaker.state,
      onRead: () => {
        this.#sizeChanged();
        this.#lanes.kick();
        this.#accounts.settle(() => this.#oldest());
      },
      onError: (message, err) => log?.error({ err }, message),
    });
  }

  /** Ordinal of the oldest accepted row that is not done; infinite when all are. */
  #oldest(): number {
    return Math.min(this.#lanes.oldest, this.#intake.oldestOutside);
  }

  #faultOf(dataset: DatasetName, rows: readonly unknown[], options: SubmitOptions): StoreError | undefined {
    try {
      if (options !== NO_OPTIONS) requireFields("submit", options, ["tenantId", "signal"]);
    } catch (error) {
      return error as StoreError;
    }
    if (!DATASET_NAMES.includes(dataset) || this.#options.sinks[dataset] === undefined) {
      return new StoreError("usage", `There is no sink for the dataset "${dataset}".`);
    }
    if (!Array.isArray(rows)) return new StoreError("usage", "submitMany takes an array of rows.");
    const { tenantId = this.#options.tenantId } = options;
    if (tenantId === undefined) return new StoreError("usage", "These rows need a tenant; give tenantId.");
    if (typeof tenantId !== "string") return new StoreError("usage", "tenantId must be the UUID of a tenant.");
    return undefined;
  }

  #refuse(submission: Submission, code: "aborted" | "shutting_down", reason: DropReason): Promise<never> {
    this.#dropped(reason, submission.rows.length);
    return Promise.reject(refusal(submission, code));
  }

  #dropped(reason: DropReason, rows: number): void {
    if (rows === 0) return;
    this.#options.metrics?.countDropped(this.id, reason, rows);
    if (reason !== "oldest") return;
    this.#accounts.addDropped(rows);
    this.#accounts.settle(() => this.#oldest());
  }

  #done(group: RowGroup, rows: number, outcome: SinkOutcome | undefined, deadLettered: number): void {
    // After a stop the group was handed on already.
    if (this.#state === "stopped") return;
    const from = group.done;
    group.done += rows;
    const ordinals = from === 0 && rows === group.rows.length ? group.ordinals : group.ordinals.slice(from, group.done);
    this.#options.spool?.acknowledge(ordinals);
    this.#accounts.add(outcome, deadLettered);
    this.#lanes.release(rows);
    this.#sizeChanged();
    this.#intake.wake();
  }

  #sizeChanged(): void {
    const queueSize = this.#lanes.held;
    const crossing = this.#pressure.update(queueSize);
    if (crossing === undefined || this.#options.feedback === undefined) return;
    const { capacity } = this.#tuning;
    this.#options.feedback.publish({
      coordinator_id: this.id,
      queue_size: queueSize,
      capacity,
      level: crossing.level,
      source: SOURCE,
      ts: this.#clock.epochMs() / 1_000,
      reason: crossing.reason,
      utilization: queueSize / capacity,
    });
  }

  #circuitChanged(state: CircuitState): void {
    const { log } = this.#options;
    if (state === "open") log?.warn({ coordinator: this.id }, "The database is away; rows wait for it.");
    if (state === "closed") log?.info({ coordinator: this.id }, "The database is back.");
    this.#endHopelessDrain();
    this.#intake.wake();
  }

  /** No row can be written before the next probe, so a drain that ends earlier need not be waited for. */
  #endHopelessDrain(): void {
    const probeAt = this.#breaker.probeAt;
    if (this.#drainEndsAt === undefined || probeAt === undefined || probeAt < this.#drainEndsAt) return;
    this.#ending.abort(new StoreError("shutting_down", "The coordinator stops, and the database is away."));
  }

  async #stop(options: StopOptions): Promise<StopReport> {
    this.#state = "stopping";
    const report = await stopLanes(options, {
      clock: this.#clock,
      lanes: this.#lanes,
      intake: this.#intake,
      accounts: this.#accounts,
      ending: this.#ending,
      delivery: this.#deliveries[0]!,
      deadLetters: this.#options.deadLetters,
      spool: this.#options.spool,
      onDraining: (endsAt) => {
        this.#drainEndsAt = endsAt;
        this.#endHopelessDrain();
      },
      onStopped: () => {
        this.#state = "stopped";
      },
    });
    this.#dropped("lost_at_stop", report.lost);
    this.#accounts.end(notAllStored());
    this.#unwatch?.();
    await this.#options.onStopped?.().catch((err: unknown) => this.#options.log?.error({ err }, "Closing failed."));
    return report;
  }
}

function notAllStored(): StoreError {
  return new StoreError("shutting_down", "The coordinator stopped before all rows were stored.");
}
