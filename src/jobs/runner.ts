/**
 * Accepts jobs and runs them: one of a name at a time across all replicas, tried again with growing waits, taken up by
 * another when a process dies. The queue is pg-boss's; what it has no place for is in job-progress.ts. A job may run
 * more than once, so its work has to bear repetition; of one job, no two attempts write progress at the same time.
 */
import { randomUUID } from "node:crypto";
import type { JobResult, PgBoss } from "pg-boss";
import type { Job } from "../contracts/job.ts";
import { openPool, type Pool } from "../database/pool.ts";
import { toStoreError } from "../database/sqlstate.ts";
import type { AdminScope } from "../database/tenants.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { StoreError } from "../errors/store-error.ts";
import { withDeadline } from "../resilience/with-deadline.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import { type ClaimedQueueJob, dropRepeats, giveBack, type JobData, resultsOf, WORK_OPTIONS } from "./claimed-job.ts";
import type { JobDefinition } from "./define-job.ts";
import { definitionsByName } from "./definitions-by-name.ts";
import { findTenant } from "./find-tenant.ts";
import { type AttemptTools, JobAttempt } from "./job-attempt.ts";
import { countWaiting, jsonText } from "./job-progress.ts";
import type { EnqueueOptions, JobFilter, JobQueue } from "./job-queue.ts";
import { findJob, getJob, isFinal, listJobs } from "./job-records.ts";
import { DEFAULT_MAX_ATTEMPTS, type JobTiming, openBoss, TIMING } from "./open-boss.ts";
import { parseInput } from "./parse-input.ts";
import { QueueWatch } from "./queue-watch.ts";
import { matchQueues, matchSchedules } from "./schedules.ts";
import { runnerSessionName } from "./session-name.ts";

/** Where the database is. */
export interface JobUrls {
  /** The service's login; a member of mds_app and mds_admin. */
  readonly url: string;
  /** Direct connection of the login that migrates. */
  readonly adminUrl: string;
}

export interface JobRunnerOptions {
  /** Asked at each start; an embedded database has no address before it runs. */
  readonly urls: () => Promise<JobUrls>;
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

/** A runner that is connected. */
interface Opened extends JobUrls {
  readonly boss: PgBoss;
  /** For the ledger, the progress and the queue's state; never held for long. */
  readonly pool: Pool;
  /** For the jobs' own work. */
  readonly workPool: Pool;
  readonly watch: QueueWatch;
}

const DEFAULT_GROUP = "jobs";
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
const DEFAULT_STOP_MS = 10_000;
/** The queue's library takes no shorter time to stop. */
const MIN_STOP_MS = 1_000;

/** Start it, and stop it when done. Until it is started, and once it is stopped, calls throw `jobs_unavailable`. */
export class JobRunner implements JobQueue {
  readonly definitions: ReadonlyMap<string, JobDefinition>;
  readonly #options: JobRunnerOptions;
  readonly #timing: JobTiming;
  readonly #works: ReadonlySet<string>;
  readonly #stopping = new AbortController();
  /** Jobs that run here. */
  readonly #running = new Map<string, AbortController>();
  /** The queue's workers, by the job's name. */
  readonly #workers = new Map<string, string>();
  /** Names of the jobs whose queue is known to be there. */
  readonly #queues = new Set<string>();
  #opened: Opened | undefined;
  /** Why the last start failed. */
  #startFault: StoreError | undefined;

  /** @throws StoreError `usage` for a name that is not allowed or is there twice. */
  constructor(options: JobRunnerOptions) {
    const { work = true } = options;
    this.#options = options;
    this.definitions = definitionsByName(options.definitions);
    this.#timing = { ...TIMING, ...options.timing };
    this.#works = new Set(work === true ? this.definitions.keys() : work === false ? [] : work);
  }

  /** What keeps this runner from its work; undefined while all is well. */
  get problem(): StoreError | undefined {
    return this.#opened === undefined ? (this.#startFault ?? notOpen()) : this.#opened.watch.problem;
  }

  /**
   * Opens the queue and begins to run jobs. After an error it may be called again.
   *
   * @throws StoreError `config_invalid` behind a pooler, `migration_pending`, `database_unavailable`, `usage` for a
   * schedule that is none.
   */
  async start(): Promise<void> {
    if (this.#opened !== undefined || this.#stopping.signal.aborted) return;
    try {
      const opened = await this.#openAll();
      if (this.#stopping.signal.aborted) {
        await close(opened, 0);
        return;
      }
      this.#opened = opened;
      this.#startFault = undefined;
      if (this.#works.size > 0) opened.watch.start();
    } catch (error) {
      this.#startFault = toStoreError(error);
      throw this.#startFault;
    }
  }

  /**
   * Tells running jobs to stop, lets them save where they are, and gives them back to the queue; an attempt that was
   * stopped does not count. What does not heed its signal within the time counts as failed.
   */
  async stop({ timeoutMs = DEFAULT_STOP_MS }: { readonly timeoutMs?: number } = {}): Promise<void> {
    const reason = "The process that ran the job stopped; the job goes on later.";
    this.#stopping.abort(new StoreError("shutting_down", reason));
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened !== undefined) await close(opened, timeoutMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async enqueue(name: string, input: unknown, { id = randomUUID(), signal }: EnqueueOptions = {}): Promise<Job> {
    const definition = this.#definition(name);
    const text = jsonText("A job's input", input ?? {}, MAX_INPUT_BYTES);
    const given = JSON.parse(text) as unknown;
    const parsed = await parseInput(definition, given);
    this.#accept(definition, parsed);
    const tenant = definition.tenantOf?.(parsed);
    const { boss } = this.#open();
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
    const { boss } = this.#open();
    if (!isFinal(job.state)) await asStoreError(() => boss.cancel(job.name, job.id));
    this.#running.get(job.id)?.abort(new StoreError("job_cancelled", "The job was cancelled."));
    const after = isFinal(job.state) ? job : await getJob(this.#scope, id, signal);
    if (after.state === "cancelled" && job.state !== "cancelled") return after;
    throw new StoreError("job_finished", `The job ${id} has ${pastOf(after.state)} already.`);
  }

  async retry(id: string, signal?: AbortSignal): Promise<Job> {
    const job = await getJob(this.#scope, id, signal);
    const { boss } = this.#open();
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
    return this.#works.size > 0 ? runnerSessionName(this.#options.group ?? DEFAULT_GROUP) : "mds queue";
  }

  get #scope(): AdminScope {
    return scopeOf(this.#open());
  }

  async #openAll(): Promise<Opened> {
    const urls = await this.#options.urls();
    const boss = await openBoss({
      adminUrl: urls.adminUrl,
      applicationName: this.#sessionName,
      works: this.#works.size > 0,
      timing: this.#timing,
      onError: (error) => this.#onQueueError(error),
      onWarning: (message) => this.#options.log.warn(message),
    });
    const opened = this.#openPools(urls, boss);
    try {
      await this.#beginWork(opened);
      return opened;
    } catch (error) {
      await close(opened, 0);
      throw error;
    }
  }

  #openPools({ url, adminUrl }: JobUrls, boss: PgBoss): Opened {
    const { log, metrics } = this.#options;
    const common = { url, connectTimeoutMs: CONNECT_TIMEOUT_MS };
    const pool = openPool({ ...common, applicationName: this.#sessionName, maxConnections: POOL_CONNECTIONS });
    const workPool = openPool({ ...common, applicationName: "mds job", maxConnections: WORK_POOL_CONNECTIONS });
    const watch = new QueueWatch({
      scope: scopeOf({ pool }),
      log,
      wakeMs: this.#timing.wakeMs,
      silenceMs: 2_000 * this.#timing.heartbeatSeconds,
      onReady: (name) => this.#wake(name),
      onRunEnded: (run) => metrics?.countRun(run),
      onDepths: (depths) => metrics?.setJobQueue(depths),
    });
    return { url, adminUrl, boss, pool, workPool, watch };
  }

  async #beginWork(opened: Opened): Promise<void> {
    const { definitions, group = DEFAULT_GROUP, work = true } = this.#options;
    const worked = definitions.filter(({ name }) => this.#works.has(name));
    if (worked.length === 0) return;
    await matchQueues(opened.boss, worked, this.#timing);
    for (const { name } of worked) this.#queues.add(name);
    if (work === true) await matchSchedules(opened.boss, definitions, group);
    for (const definition of worked) await this.#work(opened, definition);
  }

  #tools(opened: Opened): AttemptTools {
    const { log, metrics } = this.#options;
    return {
      scope: scopeOf(opened),
      workScope: { pool: opened.workPool, timeoutMs: WORK_TIMEOUT_MS },
      url: opened.url,
      adminUrl: opened.adminUrl,
      log,
      onRunEnded: (run) => metrics?.countRun(run),
    };
  }

  #open(): Opened {
    if (this.#opened === undefined) throw notOpen(this.#startFault);
    return this.#opened;
  }

  #definition(name: string): JobDefinition {
    const definition = this.definitions.get(name);
    if (definition !== undefined) return definition;
    const known = [...this.definitions.keys()].sort();
    throw new StoreError("job_unknown", `There is no job ${showValue(name)}; there are ${known.join(", ")}.`, {
      details: { known },
    });
  }

  /** What a backfill may read is for the process to say that runs it. */
  #accept(definition: JobDefinition, input: unknown): void {
    try {
      definition.accept?.(input);
    } catch (error) {
      const isOthersToSay = error instanceof StoreError && error.code === "backfill_refused";
      if (!isOthersToSay || this.#works.has(definition.name)) throw error;
    }
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

  async #work(opened: Opened, definition: JobDefinition): Promise<void> {
    const worker = await opened.boss.work<JobData, JobResult[], typeof WORK_OPTIONS>(
      definition.name,
      WORK_OPTIONS,
      async ([job]) => await this.#runClaimed(opened, definition, job!),
    );
    this.#workers.set(definition.name, worker);
  }

  async #runClaimed(opened: Opened, definition: JobDefinition, job: ClaimedQueueJob): Promise<JobResult[]> {
    const gone = new AbortController();
    job.signal.addEventListener("abort", () => gone.abort(claimLost()), { once: true });
    this.#running.set(job.id, gone);
    const { id, name, retryCount, data } = job;
    const claimed = { id, name, attempt: retryCount + 1, input: data.input, tenantId: data.tenant_id ?? null };
    const signal = AbortSignal.any([this.#stopping.signal, gone.signal]);
    try {
      if (data.scheduled) await dropRepeats(opened.boss, job);
      const settlement = await new JobAttempt(this.#tools(opened), definition, claimed, signal).run();
      if (settlement.kind === "stopped") await giveBack(opened.boss, job, settlement.fault);
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
    if (worker !== undefined) this.#opened?.boss.notifyWorker(worker);
  }

  #onQueueError(error: Error): void {
    const fault = toStoreError(error);
    // That the database is away is told once, by the watch.
    this.#options.log[fault.retryable ? "debug" : "warn"]({ err: fault }, "The job queue reported an error.");
  }
}

function scopeOf({ pool }: Pick<Opened, "pool">): AdminScope {
  return { pool, timeoutMs: QUERY_TIMEOUT_MS };
}

/** Waits for jobs under way as long as it may, and gives all connections back. */
async function close({ boss, pool, workPool, watch }: Opened, timeoutMs: number): Promise<void> {
  await watch.stop();
  try {
    const timeout = Math.max(timeoutMs, MIN_STOP_MS);
    await withDeadline(timeout + MIN_STOP_MS, () => boss.stop({ graceful: timeoutMs > 0, timeout }));
  } finally {
    await Promise.allSettled([pool.end(), workPool.end()]);
  }
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

/** `fault` is why the last start failed. */
function notOpen(fault?: StoreError): StoreError {
  const message =
    fault === undefined
      ? "The job queue is not open yet, or is closing; try again in a moment."
      : `The job queue cannot be opened: ${fault.message}`;
  return new StoreError("jobs_unavailable", message, { cause: fault });
}

function pastOf(state: Job["state"]): string {
  return state === "cancelled" ? "been cancelled" : state;
}
