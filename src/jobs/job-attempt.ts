/**
 * One attempt of a job: its run in the ledger, its heartbeat, what it has to work with, and how it ended. It runs the
 * job's own code and says what the queue should do with the job; telling the queue is the runner's part.
 */
import { randomUUID } from "node:crypto";
import { configFingerprint } from "../client/config-fingerprint.ts";
import type { JobRun } from "../client/job-run.ts";
import { openStore, type Store } from "../client/open-store.ts";
import type { RunProgress } from "../client/run-input.ts";
import { Runs } from "../client/runs.ts";
import type { Pool } from "../database/pool.ts";
import type { AdminScope } from "../database/tenants.ts";
import type { JsonObject } from "../datasets/dataset.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { JobContext, JobDefinition } from "./define-job.ts";
import { findTenant } from "./find-tenant.ts";
import { faultOf, type JobFault, mayHelpToRetry } from "./job-fault.ts";
import {
  type AttemptStart,
  beginAttempt,
  endAttempt,
  jsonText,
  type LedgerEntry,
  saveCheckpoint,
  saveProgress,
} from "./job-progress.ts";
import { findJob } from "./job-records.ts";
import { parseInput } from "./parse-input.ts";

/** What every attempt of a runner works with. */
export interface AttemptTools {
  /** For the ledger and the progress; never held for long. */
  readonly scope: AdminScope;
  /** For the job's own work. */
  readonly workScope: AdminScope;
  readonly url: string;
  readonly adminUrl: string;
  readonly log: Logger;
  readonly onRunEnded: (run: JobRun) => void;
}

/** A job as the queue gave it out. */
export interface ClaimedJob {
  readonly id: string;
  readonly name: string;
  readonly attempt: number;
  readonly input: unknown;
  /** Found when the job was accepted; null for the system's jobs, and for those that a schedule made. */
  readonly tenantId: string | null;
}

/** What the queue should do with the job. */
export type Settlement =
  | { readonly kind: "succeeded"; readonly result: unknown }
  /** `final`: it is not tried again. */
  | { readonly kind: "failed"; readonly fault: JobFault; readonly final: boolean }
  /** This process stops; whoever runs next goes on. */
  | { readonly kind: "stopped"; readonly fault: JobFault }
  /** Cancelled, or another runner has it: the queue knows. */
  | { readonly kind: "gone" };

const LEDGER_HEARTBEAT_MS = 10_000;
/** A report of a backfill over all series, and no more than a client can show. */
const MAX_RESULT_BYTES = 16_000_000;
/** Connections of a store that a job opens: one to read, one to write, and one beside. */
const JOB_STORE_CONNECTIONS = 3;

/** Runs one attempt. Throws only when the database cannot be told how it ended. */
export class JobAttempt {
  readonly #tools: AttemptTools;
  readonly #definition: JobDefinition;
  readonly #job: ClaimedJob;
  readonly #signal: AbortSignal;
  readonly #stores: Store[] = [];
  readonly #entry: { runId: string; tenantId: string | null };
  #rows = { written: 0n, failed: 0n };

  /** The signal is aborted with a StoreError: `shutting_down` when this process stops, anything else when the job is gone. */
  constructor(tools: AttemptTools, definition: JobDefinition, job: ClaimedJob, signal: AbortSignal) {
    this.#tools = tools;
    this.#definition = definition;
    this.#job = job;
    this.#signal = signal;
    this.#entry = { runId: randomUUID(), tenantId: job.tenantId };
  }

  async run(): Promise<Settlement> {
    const { scope, log } = this.#tools;
    const { id, name, attempt } = this.#job;
    let input: unknown;
    try {
      input = await parseInput(this.#definition, this.#job.input);
      const tenant = this.#definition.tenantOf?.(input);
      if (tenant !== undefined) this.#entry.tenantId ??= await findTenant(scope, tenant);
    } catch (error) {
      log.warn({ job: id, job_name: name, err: error }, `The job ${name} cannot begin.`);
      return { kind: "failed", fault: faultOf(error), final: !mayHelpToRetry(error) };
    }
    const start = await beginAttempt(scope, this.#key, name, this.#entry);
    if (start.openRun !== undefined) await this.#completeLostRun(start.openRun);
    await this.#startRun(input);
    log.info({ job: id, job_name: name, attempt, run: this.#entry.runId }, `The job ${name} begins.`);
    const settlement = await this.#runToItsEnd(input, start);
    await endAttempt(scope, this.#key);
    return settlement;
  }

  get #key(): { jobId: string; attempt: number } {
    return { jobId: this.#job.id, attempt: this.#job.attempt };
  }

  async #runToItsEnd(input: unknown, start: AttemptStart): Promise<Settlement> {
    const ledger = ledgerOf(this.#tools.scope, this.#entry.tenantId);
    const heartbeat = setInterval(() => {
      ledger.heartbeat(this.#entry.runId).catch((err: unknown) => {
        this.#tools.log.debug({ err, job: this.#job.id }, "A heartbeat could not be written.");
      });
    }, LEDGER_HEARTBEAT_MS);
    try {
      const result = await this.#definition.run(this.#context(input, start, ledger));
      const text = jsonText("A job's result", result ?? null, MAX_RESULT_BYTES);
      await this.#complete(ledger, "succeeded");
      this.#tools.log.info({ job: this.#job.id }, `The job ${this.#job.name} has succeeded.`);
      return { kind: "succeeded", result: JSON.parse(text) as unknown };
    } catch (error) {
      return await this.#settleFailure(ledger, error);
    } finally {
      clearInterval(heartbeat);
      await Promise.allSettled(this.#stores.map((store) => store.close()));
    }
  }

  #context(input: unknown, start: AttemptStart, ledger: Runs): JobContext<unknown> {
    const { scope, workScope, url, adminUrl, log } = this.#tools;
    this.#rows = { written: start.rowsWritten, failed: start.rowsFailed };
    return {
      jobId: this.#job.id,
      attempt: this.#job.attempt,
      input,
      signal: this.#signal,
      checkpoint: start.checkpoint,
      saveCheckpoint: (checkpoint) => saveCheckpoint(scope, this.#key, checkpoint),
      report: (progress) => this.#report(ledger, progress),
      openStore: async (tenant) => {
        const store = await openStore({
          url,
          tenant,
          maxConnections: JOB_STORE_CONNECTIONS,
          applicationName: `mds job ${this.#job.name}`,
          signal: this.#signal,
        });
        this.#stores.push(store);
        return store;
      },
      admin: workScope,
      adminUrl,
      log,
    };
  }

  async #report(ledger: Runs, { message, ...progress }: RunProgress & { readonly message?: string }): Promise<void> {
    await ledger.progress(this.#entry.runId, progress);
    this.#rows.written += BigInt(progress.rows_written ?? 0);
    this.#rows.failed += BigInt(progress.rows_failed ?? 0);
    await saveProgress(this.#tools.scope, this.#key, { ...this.#rows }, message);
  }

  async #settleFailure(ledger: Runs, error: unknown): Promise<Settlement> {
    const { log } = this.#tools;
    const { id, name } = this.#job;
    if (this.#signal.aborted) {
      const reason = this.#signal.reason as StoreError;
      if (reason.code === "shutting_down") {
        await this.#complete(ledger, "cancelled", reason.message);
        log.info({ job: id }, `The job ${name} was stopped and will go on.`);
        return { kind: "stopped", fault: faultOf(reason) };
      }
      const job = await findJob(this.#tools.scope, id);
      const isCancelled = job === undefined || job.state === "cancelled";
      const why = isCancelled ? "The job was cancelled." : "Another runner has taken the job over.";
      await this.#complete(ledger, isCancelled ? "cancelled" : "failed", why);
      log.info({ job: id }, `${why} (${name})`);
      return { kind: "gone" };
    }
    const final = !mayHelpToRetry(error);
    log.warn({ job: id, job_name: name, final, err: error }, `The job ${name} has failed: ${messageOf(error)}`);
    await this.#complete(ledger, "failed", faultOf(error).message);
    return { kind: "failed", fault: faultOf(error), final };
  }

  async #startRun(input: unknown): Promise<void> {
    const { id, name, attempt } = this.#job;
    const dataset = this.#definition.datasetOf?.(input);
    const isObject = typeof this.#job.input === "object" && this.#job.input !== null && !Array.isArray(this.#job.input);
    const config = isObject ? (this.#job.input as JsonObject) : ({ input: this.#job.input } as JsonObject);
    await ledgerOf(this.#tools.scope, this.#entry.tenantId).start({
      run_id: this.#entry.runId,
      job_name: name,
      mode: this.#definition.mode,
      ...(dataset !== undefined && { dataset }),
      config_fingerprint: configFingerprint(config),
      metadata: { job_id: id, attempt },
    });
  }

  async #completeLostRun(lost: LedgerEntry): Promise<void> {
    const error = `The process that ran it ended before the job did; attempt ${this.#job.attempt} goes on.`;
    await completeLostRun(this.#tools, lost, "failed", error);
  }

  async #complete(ledger: Runs, status: "succeeded" | "failed" | "cancelled", error?: string): Promise<void> {
    const outcome = { status, ...(error !== undefined && { error }) };
    this.#tools.onRunEnded(await ledger.complete(this.#entry.runId, outcome));
  }
}

/** Completes a run that its own process cannot complete any more; one that is over already, or is not there, is left. */
export async function completeLostRun(
  { scope, onRunEnded }: Pick<AttemptTools, "scope" | "onRunEnded">,
  { runId, tenantId }: LedgerEntry,
  status: "failed" | "cancelled",
  error: string,
): Promise<void> {
  try {
    onRunEnded(await ledgerOf(scope, tenantId).complete(runId, { status, error }));
  } catch (fault) {
    const isOver = fault instanceof StoreError && (fault.code === "run_finished" || fault.code === "run_unknown");
    if (!isOver && !(fault instanceof StoreError && fault.code === "tenant_refused")) throw fault;
  }
}

/** A tenant's ledger, or the system's. */
function ledgerOf({ pool, timeoutMs }: { pool: Pool; timeoutMs: number }, tenantId: string | null): Runs {
  return new Runs(
    tenantId === null ? { pool, timeoutMs, role: "mds_admin" } : { pool, timeoutMs, role: "mds_app", tenantId },
  );
}
