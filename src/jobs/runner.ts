/**
 * Accepts jobs and runs them: one of a name at a time across all replicas, tried again with growing waits, taken up by
 * another when a process dies. The queue is pg-boss's; what it has no place for is in job-progress.ts. A job may run
 * more than once, so its work has to bear repetition; of one job, no two attempts write progress at the same time.
 */
import { randomUUID } from "node:crypto";
import type { JobResult, JobWithMetadata, PgBoss } from "pg-boss";
import type { Job } from "../contracts/job.ts";
import { openPool, type Pool } from "../database/pool.ts";
import { toStoreError } from "../database/sqlstate.ts";
import type { AdminScope } from "../database/tenants.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import { withDeadline } from "../resilience/with-deadline.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import type { JobDefinition } from "./define-job.ts";
import { findTenant } from "./find-tenant.ts";
import { type AttemptTools, JobAttempt, type Settlement } from "./job-attempt.ts";
import { countWaiting, jsonText } from "./job-progress.ts";
import type { EnqueueOptions, JobFilter, JobQueue } from "./job-queue.ts";
import { findJob, getJob, isFinal, listJobs } from "./job-records.ts";
import {
  DEFAULT_MAX_ATTEMPTS,
  FLOOR_POLLING_SECONDS,
  type JobTiming,
  openBoss,
  TIMING,
  TOUCH_SECONDS,
} from "./open-boss.ts";
import { parseInput } from "./parse-input.ts";
import { QueueWatch } from "./queue-watch.ts";
import { matchQueues, matchSchedules } from "./schedules.ts";

export interface JobRunnerOptions {
  /** The service's login; a member of mds_app and mds_admin. */
  readonly url: string;
  /** Direct connection of the login that migrates; `url` unless given. */
  readonly adminUrl?: string;
  /** All that can be asked for here. */
  readonly definitions: readonly JobDefinition[];
  readonly log: Logger;
  /** Runs and the queue are counted here. */
  readonly metrics?: Pick<StoreMetrics, "countRun" | "setJobQueue">;
  /** Which jobs this process runs: all unless given; with `false` it only accepts and changes jobs. */
  readonly work?: boolean | readonly string[];
  /** Names the runners that have the same definitions: a schedule of theirs that no definition has is removed. */
  readonly group?: string;
  readonly timing?: Partial<JobTiming>;
}

/** What the queue keeps of a job's request. */
interface JobData {
  readonly input: unknown;
  readonly tenant_id?: string | null;
}

type Claimed = JobWithMetadata<JobData>;

const NAME = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;
const MAX_NAME_CHARACTERS = 64;
/** Far more than anybody waits for; what is beyond is most likely a loop. */
const MAX_WAITING = 1_000;
/** Names of files and symbols by the ten thousand, but no data. */
const MAX_INPUT_BYTES = 1_000_000;
/** Statements on small tables. */
const QUERY_TIMEOUT_MS = 10_000;
/** A job's own statement may take long: dropping, compressing, working out aggregates. */
const WORK_TIMEOUT_MS = 600_000;
const CONNECT_TIMEOUT_MS = 5_000;
const POOL_CONNECTIONS = 2;
/** As many jobs as run at the same time in one process, each with one statement; opened only while jobs run. */
const WORK_POOL_CONNECTIONS = 8;
/** The queue's library takes no shorter time to stop. */
const MIN_STOP_MS = 1_000;

/** Start it, and stop it when done. While it is not started, or its database is away, calls throw `job_queue_unavailable` or the database's error. */
export class JobRunner implements JobQueue {
  readonly definitions: ReadonlyMap<string, JobDefinition>;
  readonly #options: JobRunnerOptions;
  readonly #timing: JobTiming;
  readonly #works: ReadonlySet<string>;
  readonly #pool: Pool;
  readonly #workPool: Pool;
  readonly #watch: QueueWatch | undefined;
  readonly #stopping = new AbortController();
  readonly #running = new Map<string, AbortController>();
  readonly #workers = new Map<string, string>();
  readonly #queues = new Set<string>();
  #boss: PgBoss | undefined;

  /** @throws StoreError `usage` for a name that is not allowed or is there twice. */
  constructor(options: JobRunnerOptions) {
    this.#options = options;
    this.definitions = byName(options.definitions);
    this.#timing = { ...TIMING, ...options.timing };
    const { work = true, log, metrics } = options;
    this.#works = new Set(work === true ? this.definitions.keys() : work === false ? [] : work);
    const pool = { url: options.url, connectTimeoutMs: CONNECT_TIMEOUT_MS };
    this.#pool = openPool({ ...pool, applicationName: this.#sessionName, maxConnections: POOL_CONNECTIONS });
    this.#workPool = openPool({ ...pool, applicationName: "mds job", maxConnections: WORK_POOL_CONNECTIONS });
    if (this.#works.size === 0) return;
    this.#watch = new QueueWatch({
      scope: this.#scope,
      log,
      wakeMs: this.#timing.wakeMs,
      silenceMs: 2_000 * this.#timing.heartbeatSeconds,
      onReady: (name) => this.#wake(name),
      onRunEnded: (run) => metrics?.countRun(run),
      onDepths: (depths) => metrics?.setJobQueue(depths),
    });
  }

  /** What keeps this runner from its work; undefined while all is well. */
  get problem(): StoreError | undefined {
    if (this.#boss === undefined) return notStarted();
    return this.#watch?.problem;
  }

  /**
   * Opens the queue and begins to run jobs. After an error it may be called again.
   *
   * @throws StoreError `config_invalid` behind a pooler, `migration_pending`, `database_unavailable`, `usage` for a
   * schedule that is none.
   */
  async start(): Promise<void> {
    if (this.#boss !== undefined || this.#stopping.signal.aborted) return;
    const { url, adminUrl = url, definitions, group = "jobs", work = true } = this.#options;
    const boss = await openBoss({
      adminUrl,
      applicationName: this.#sessionName,
      works: this.#works.size > 0,
      timing: this.#timing,
      onError: (error) => this.#onQueueError(error),
    });
    try {
      if (this.#works.size > 0) {
        const worked = definitions.filter(({ name }) => this.#works.has(name));
        await matchQueues(boss, worked, this.#timing);
        for (const { name } of worked) this.#queues.add(name);
        if (work === true) await matchSchedules(boss, definitions, group);
        for (const definition of worked) await this.#work(boss, definition);
      }
    } catch (error) {
      await boss.stop({ graceful: false });
      throw toStoreError(error);
    }
    this.#boss = boss;
    this.#watch?.start();
  }

  /**
   * Tells running jobs to stop, lets them save where they are, and gives them back to the queue; an attempt that was
   * stopped does not count. What does not heed its signal within the time counts as failed.
   */
  async stop({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    this.#stopping.abort(
      new StoreError("shutting_down", "The process that ran the job stopped; the job goes on later."),
    );
    const boss = this.#boss;
    this.#boss = undefined;
    await this.#watch?.stop();
    const stopped = boss?.stop({ graceful: true, timeout: Math.max(timeoutMs, MIN_STOP_MS) });
    try {
      await withDeadline(timeoutMs + MIN_STOP_MS, async () => await stopped);
    } finally {
      await Promise.allSettled([this.#pool, this.#workPool].map((pool) => (pool.ending ? undefined : pool.end())));
    }
  }

  async enqueue(name: string, input: unknown, { id = randomUUID(), signal }: EnqueueOptions = {}): Promise<Job> {
    const definition = this.#definition(name);
    const text = jsonText("A job's input", input ?? {}, MAX_INPUT_BYTES);
    const given = JSON.parse(text) as unknown;
    const parsed = await parseInput(definition, given);
    const tenant = definition.tenantOf?.(parsed);
    const boss = this.#open();
    const before = await findJob(this.#scope, id, signal);
    if (before !== undefined) return before;
    const data: JobData = {
      input: given,
      tenant_id: tenant === undefined ? null : await findTenant(this.#scope, tenant, signal),
    };
    await this.#refuseFull(name);
    signal?.throwIfAborted();
    await asStoreError(async () => {
      await this.#ensureQueue(boss, definition);
      await boss.send(name, data, { id });
    });
    this.#wake(name);
    return getJob(this.#scope, id, signal);
  }

  get(id: string, signal?: AbortSignal): Promise<Job> {
    return getJob(this.#scope, id, signal);
  }

  list(filter?: JobFilter, signal?: AbortSignal): Promise<Job[]> {
    return listJobs(this.#scope, filter, signal);
  }

  async cancel(id: string, signal?: AbortSignal): Promise<Job> {
    const job = await getJob(this.#scope, id, signal);
    const boss = this.#open();
    if (!isFinal(job.state)) await asStoreError(() => boss.cancel(job.name, job.id));
    this.#running.get(job.id)?.abort(new StoreError("job_cancelled", "The job was cancelled."));
    const after = isFinal(job.state) ? job : await getJob(this.#scope, id, signal);
    if (after.state === "cancelled" && job.state !== "cancelled") return after;
    throw new StoreError("job_finished", `The job ${id} has ${pastOf(after.state)} already.`);
  }

  async retry(id: string, signal?: AbortSignal): Promise<Job> {
    const job = await getJob(this.#scope, id, signal);
    const boss = this.#open();
    if (job.state !== "failed" && job.state !== "cancelled") {
      throw new StoreError(
        "job_not_failed",
        `The job ${id} is ${job.state}; only a failed or cancelled one is tried again.`,
      );
    }
    const maxAttempts = this.definitions.get(job.name)?.maxAttempts ?? DEFAULT_MAX_ATTEMPTS;
    await asStoreError(async () => {
      if (job.state === "failed") await boss.retry(job.name, job.id);
      else await boss.resume(job.name, job.id);
      // As many attempts as a new job has, without the wait that the last failure asked for.
      await boss.update(job.name, undefined, { id: job.id, startAfter: 0, retryLimit: job.attempts + maxAttempts - 1 });
    });
    this.#wake(job.name);
    return getJob(this.#scope, id, signal);
  }

  get #sessionName(): string {
    return this.#works.size > 0 ? `mds jobs ${this.#options.group ?? "jobs"}` : "mds queue";
  }

  get #scope(): AdminScope {
    return { pool: this.#pool, timeoutMs: QUERY_TIMEOUT_MS };
  }

  get #tools(): AttemptTools {
    const { url, adminUrl = url, log, metrics } = this.#options;
    return {
      scope: this.#scope,
      workScope: { pool: this.#workPool, timeoutMs: WORK_TIMEOUT_MS },
      url,
      adminUrl,
      log,
      onRunEnded: (run) => metrics?.countRun(run),
    };
  }

  #open(): PgBoss {
    if (this.#boss === undefined) throw notStarted();
    return this.#boss;
  }

  #definition(name: string): JobDefinition {
    const definition = this.definitions.get(name);
    if (definition !== undefined) return definition;
    const known = [...this.definitions.keys()].sort();
    throw new StoreError("job_unknown", `There is no job ${showValue(name)}; there are ${known.join(", ")}.`, {
      details: { known },
    });
  }

  async #refuseFull(name: string): Promise<void> {
    if ((await countWaiting(this.#scope, name, MAX_WAITING)) < MAX_WAITING) return;
    throw new StoreError("job_queue_full", `${MAX_WAITING} jobs ${name} wait already; try again when some have run.`);
  }

  async #ensureQueue(boss: PgBoss, definition: JobDefinition): Promise<void> {
    if (this.#queues.has(definition.name)) return;
    await matchQueues(boss, [definition], this.#timing);
    this.#queues.add(definition.name);
  }

  async #work(boss: PgBoss, definition: JobDefinition): Promise<void> {
    const worker = await boss.work<JobData, JobResult[], typeof WORK_OPTIONS>(
      definition.name,
      WORK_OPTIONS,
      async ([job]) => await this.#runClaimed(boss, definition, job!),
    );
    this.#workers.set(definition.name, worker);
  }

  async #runClaimed(boss: PgBoss, definition: JobDefinition, job: Claimed): Promise<JobResult[]> {
    const gone = new AbortController();
    job.signal.addEventListener("abort", () => gone.abort(claimLost()), { once: true });
    this.#running.set(job.id, gone);
    const { id, name, retryCount, data } = job;
    const claimed = { id, name, attempt: retryCount + 1, input: data.input, tenantId: data.tenant_id ?? null };
    const signal = AbortSignal.any([this.#stopping.signal, gone.signal]);
    try {
      const settlement = await new JobAttempt(this.#tools, definition, claimed, signal).run();
      if (settlement.kind === "stopped") await giveBack(boss, job, settlement.fault);
      return resultsOf(id, settlement);
    } catch (err) {
      this.#options.log.warn(
        { err, job: id },
        `How the job ${name} ended could not be written; it will be tried again.`,
      );
      throw err;
    } finally {
      this.#running.delete(id);
    }
  }

  #wake(name: string): void {
    const worker = this.#workers.get(name);
    if (worker !== undefined) this.#boss?.notifyWorker(worker);
  }

  #onQueueError(error: Error): void {
    // While the database is away the watch says so once.
    const level = this.problem === undefined ? "warn" : "debug";
    this.#options.log[level]({ reason: messageOf(error) }, "The job queue reported an error.");
  }
}

const WORK_OPTIONS = {
  includeMetadata: true,
  perJobResults: true,
  batchSize: 1,
  pollingIntervalSeconds: FLOOR_POLLING_SECONDS,
  heartbeatRefreshSeconds: TOUCH_SECONDS,
} as const;

/** Back to the queue at once, with one attempt more than before. */
async function giveBack(boss: PgBoss, job: Claimed, fault: { code: string; message: string }): Promise<void> {
  await boss.fail(job.name, job, fault);
  if (job.retryCount >= job.retryLimit) await boss.retry(job.name, job.id);
  await boss.update(job.name, undefined, { id: job.id, startAfter: 0, retryLimit: job.retryLimit + 1 });
}

function resultsOf(id: string, settlement: Settlement): JobResult[] {
  switch (settlement.kind) {
    case "succeeded":
      return [{ id, status: "completed", output: { result: settlement.result } }];
    case "failed":
      return [{ id, status: settlement.final ? "deadletter" : "failed", output: settlement.fault }];
    case "stopped":
    case "gone":
      // The job is no longer this attempt's, so what is said of it here changes nothing.
      return [];
  }
}

function byName(definitions: readonly JobDefinition[]): ReadonlyMap<string, JobDefinition> {
  const known = new Map<string, JobDefinition>();
  for (const definition of definitions) {
    const { name } = definition;
    if (!NAME.test(name) || name.length > MAX_NAME_CHARACTERS) {
      const form = `lower-case words joined by hyphens, at most ${MAX_NAME_CHARACTERS} characters`;
      throw new StoreError("usage", `${showValue(name)} is no name of a job; it must be ${form}.`);
    }
    if (known.has(name)) throw new StoreError("usage", `Two jobs have the name "${name}"; give one another name.`);
    known.set(name, definition);
  }
  return known;
}

async function asStoreError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toStoreError(error);
  }
}

function claimLost(): StoreError {
  return new StoreError("job_superseded", "The job was cancelled, or another runner has taken it over.");
}

function notStarted(): StoreError {
  return new StoreError(
    "job_queue_unavailable",
    "The job queue is not open yet, or is closing; try again in a moment.",
  );
}

function pastOf(state: Job["state"]): string {
  return state === "cancelled" ? "been cancelled" : state;
}
