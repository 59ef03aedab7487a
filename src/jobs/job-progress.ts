/**
 * What the store keeps of a job beside the queue: from where it goes on, how far it is, and which run of the ledger is
 * its last. Only the newest attempt may write; an older one that still runs is refused.
 */
import { withRetry } from "../database/retry.ts";
import { runAsRole } from "../database/session.ts";
import type { AdminScope } from "../database/tenants.ts";
import { StoreError } from "../errors/store-error.ts";
import { shortened } from "./job-fault.ts";

/** One attempt of a job. */
export interface AttemptKey {
  readonly jobId: string;
  /** From 1. */
  readonly attempt: number;
}

/** A run of the ledger, and whose: a tenant's, or null for the system's. */
export interface LedgerEntry {
  readonly runId: string;
  readonly tenantId: string | null;
}

/** From where an attempt goes on. */
export interface AttemptStart {
  /** Undefined where no attempt saved one. */
  readonly checkpoint: unknown;
  readonly rowsWritten: bigint;
  readonly rowsFailed: bigint;
  /** Of an attempt before, whose process ended without completing it. */
  readonly openRun: LedgerEntry | undefined;
}

/** A run of a job that has ended, which nobody will complete. */
export interface AbandonedRun extends AttemptKey, LedgerEntry {
  readonly wasCancelled: boolean;
}

/** By job: how many wait, and for how long the oldest has. */
export interface JobQueueDepth {
  readonly name: string;
  readonly depth: number;
  readonly oldestAgeSeconds: number;
}

const MAX_MESSAGE_CHARACTERS = 1_000;
/** A checkpoint says where to go on; what is larger is data, which belongs into tables. */
const MAX_CHECKPOINT_BYTES = 1_000_000;

/** @throws StoreError `job_superseded` when a later attempt has begun. */
export async function beginAttempt(
  scope: AdminScope,
  { jobId, attempt }: AttemptKey,
  name: string,
  { runId, tenantId }: LedgerEntry,
): Promise<AttemptStart> {
  interface Row {
    readonly checkpoint: unknown;
    readonly rows_written: bigint;
    readonly rows_failed: bigint;
    readonly open_run_id: string | null;
    readonly open_tenant_id: string | null;
  }
  const text = `select checkpoint, rows_written, rows_failed, open_run_id, open_tenant_id
    from mds.begin_job_attempt($1, $2, $3, $4, $5)`;
  const [row] = await rowsOf<Row>(scope, text, [jobId, name, attempt, runId, tenantId]);
  const { open_run_id, open_tenant_id } = row!;
  return {
    checkpoint: row!.checkpoint ?? undefined,
    rowsWritten: row!.rows_written,
    rowsFailed: row!.rows_failed,
    openRun: open_run_id === null ? undefined : { runId: open_run_id, tenantId: open_tenant_id },
  };
}

/** Counts are those of all attempts so far. @throws StoreError `job_superseded`. */
export async function saveProgress(
  scope: AdminScope,
  { jobId, attempt }: AttemptKey,
  rows: { readonly written: bigint; readonly failed: bigint },
  message: string | undefined,
): Promise<void> {
  const shown = message === undefined ? null : shortened(message, MAX_MESSAGE_CHARACTERS);
  const values = [jobId, attempt, String(rows.written), String(rows.failed), shown];
  await rowsOf(scope, "select mds.save_job_progress($1, $2, $3, $4, $5)", values);
}

/** @throws StoreError `job_superseded`; `usage` where it is no JSON or too large. */
export async function saveCheckpoint(
  scope: AdminScope,
  { jobId, attempt }: AttemptKey,
  checkpoint: unknown,
): Promise<void> {
  const text = jsonText("A checkpoint", checkpoint, MAX_CHECKPOINT_BYTES);
  await rowsOf(scope, "select mds.save_job_checkpoint($1, $2, $3)", [jobId, attempt, text]);
}

/** Says that the attempt's run has been completed. */
export async function endAttempt(scope: AdminScope, { jobId, attempt }: AttemptKey): Promise<void> {
  await rowsOf(scope, "select mds.end_job_attempt($1, $2)", [jobId, attempt]);
}

/** Runs of jobs that have ended, not heard of for so long. */
export async function abandonedRuns(scope: AdminScope, silenceMs: number): Promise<AbandonedRun[]> {
  interface Row {
    readonly job_id: string;
    readonly attempt: number;
    readonly run_id: string;
    readonly tenant_id: string | null;
    readonly state: string | null;
  }
  const text = `select job_id, attempt, run_id, tenant_id, state
    from mds.abandoned_job_runs($1::float8 * interval '1 millisecond')`;
  const rows = await rowsOf<Row>(scope, text, [silenceMs]);
  return rows.map(({ job_id, attempt, run_id, tenant_id, state }) => {
    return { jobId: job_id, attempt, runId: run_id, tenantId: tenant_id, wasCancelled: state === "cancelled" };
  });
}

/** Forgets jobs that the queue has deleted. */
export async function pruneProgress(scope: AdminScope): Promise<void> {
  await rowsOf(scope, "select mds.prune_job_progress()", []);
}

/** Names of the jobs of which one could begin now. */
export async function readyJobs(scope: AdminScope): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(scope, "select name from mds.ready_jobs() as name", []);
  return rows.map(({ name }) => name);
}

/** How many jobs of a name wait; counting ends at the bound. */
export async function countWaiting(scope: AdminScope, name: string, atMost: number): Promise<number> {
  const text = "select mds.count_waiting_jobs($1, $2) as waiting";
  const [row] = await rowsOf<{ waiting: number }>(scope, text, [name, atMost]);
  return row!.waiting;
}

export function queueDepths(scope: AdminScope): Promise<JobQueueDepth[]> {
  const text = `select job_name as name, depth::int4 as depth,
      coalesce(extract(epoch from oldest_age), 0)::float8 as "oldestAgeSeconds"
    from mds.job_queue_health`;
  return rowsOf<JobQueueDepth>(scope, text, []);
}

/** A value as JSON; a count that JSON cannot hold exactly becomes text. @throws StoreError `usage`. */
export function jsonText(what: string, value: unknown, maxBytes: number): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? numberOrText(each) : each));
  } catch (cause) {
    throw new StoreError("usage", `${what} must be JSON, and this has a cycle or something that JSON lacks.`, {
      cause,
    });
  }
  if (text === undefined) throw new StoreError("usage", `${what} must be JSON, not ${typeof value}.`);
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxBytes) return text;
  throw new StoreError("usage", `${what} has ${bytes} bytes of JSON; at most ${maxBytes} are kept.`);
}

function numberOrText(count: bigint): number | string {
  return BigInt(Number(count)) === count ? Number(count) : String(count);
}

function rowsOf<Row>(scope: AdminScope, text: string, values: readonly unknown[]): Promise<Row[]> {
  return withRetry(() => runAsRole<Row>({ ...scope, role: "mds_admin" }, { text, values }));
}
