/** Jobs as they are read out of the database: one, or a list. It changes nothing and needs no queue library. */
import type { Job, JobState } from "../contracts/job.ts";
import { JOB_STATES } from "../contracts/job-states.ts";
import { withRetry } from "../database/retry.ts";
import { runAsRole } from "../database/session.ts";
import type { AdminScope } from "../database/tenants.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { StoreError } from "../errors/store-error.ts";
import { readFault } from "./job-fault.ts";
import type { JobFilter } from "./job-queue.ts";

const DEFAULT_LIMIT = 100;
/** A list that is longer is of no use to people; programs ask by filter. */
const MAX_LIMIT = 1_000;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The queue's word for each state. */
const QUEUE_STATES: Readonly<Record<JobState, string>> = {
  queued: "created",
  running: "active",
  retrying: "retry",
  succeeded: "completed",
  failed: "failed",
  cancelled: "cancelled",
};
const STATES = new Map(Object.entries(QUEUE_STATES).map(([state, word]) => [word, state as JobState]));

const FINAL: ReadonlySet<JobState> = new Set(["succeeded", "failed", "cancelled"]);

interface JobRow {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly tenant_id: string | null;
  readonly input: unknown;
  readonly output: unknown;
  readonly attempts: number;
  readonly max_attempts: number;
  readonly has_progress: boolean;
  readonly rows_written: bigint | null;
  readonly rows_failed: bigint | null;
  readonly message: string | null;
  readonly run_id: string | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly completed_at: string | null;
  readonly heartbeat_at: string | null;
}

const TIMES = ["created_at", "started_at", "completed_at", "heartbeat_at"]
  .map((name) => `to_char(${name} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as ${name}`)
  .join(", ");
const READ_SQL = `select id, name, state, tenant_id, input, output, attempts, max_attempts, has_progress, rows_written,
    rows_failed, message, run_id, ${TIMES}
  from mds.read_jobs($1::uuid, $2::text, $3::text, $4::int4)`;

/** Whether a job in this state has ended. */
export function isFinal(state: JobState): boolean {
  return FINAL.has(state);
}

/** The newest first. */
export async function listJobs(scope: AdminScope, filter: JobFilter = {}, signal?: AbortSignal): Promise<Job[]> {
  const { name = null, state, limit = DEFAULT_LIMIT } = filter;
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new StoreError("usage", `limit is ${showValue(limit)}; it must be a whole number from 1 to ${MAX_LIMIT}.`);
  }
  if (state !== undefined && !JOB_STATES.includes(state)) {
    throw new StoreError("usage", `state is ${showValue(state)}; it must be one of ${JOB_STATES.join(", ")}.`);
  }
  return read(scope, [null, name, state === undefined ? null : QUEUE_STATES[state], limit], signal);
}

/** Undefined where there is none. */
export async function findJob(scope: AdminScope, id: string, signal?: AbortSignal): Promise<Job | undefined> {
  if (!UUID.test(id)) return undefined;
  const [job] = await read(scope, [id, null, null, 1], signal);
  return job;
}

/** @throws StoreError `job_not_found`. */
export async function getJob(scope: AdminScope, id: string, signal?: AbortSignal): Promise<Job> {
  const job = await findJob(scope, id, signal);
  if (job !== undefined) return job;
  throw new StoreError(
    "job_not_found",
    `There is no job ${showValue(id)}; jobs are deleted 30 days after they have ended.`,
  );
}

async function read(scope: AdminScope, values: readonly unknown[], signal: AbortSignal | undefined): Promise<Job[]> {
  const rows = await withRetry(
    () => runAsRole<JobRow>({ ...scope, role: "mds_admin" }, { text: READ_SQL, values }, signal),
    signal,
  );
  return rows.map(jobOf);
}

function jobOf(row: JobRow): Job {
  const { id, name, tenant_id: tenant, input, attempts, max_attempts, run_id } = row;
  const { created_at, started_at, completed_at, heartbeat_at } = row;
  const state = STATES.get(row.state)!;
  return {
    id,
    name,
    state,
    tenant,
    input,
    progress: row.has_progress
      ? { rows_written: Number(row.rows_written), rows_failed: Number(row.rows_failed), message: row.message }
      : null,
    result: state === "succeeded" ? ((row.output as { result?: unknown } | null)?.result ?? null) : null,
    error: errorOf(state, row.output),
    attempts,
    max_attempts,
    run_id,
    created_at,
    started_at,
    completed_at,
    heartbeat_at,
  };
}

function errorOf(state: JobState, output: unknown): Job["error"] {
  if (state === "succeeded") return null;
  if (state === "cancelled") return { code: "job_cancelled", message: "The job was cancelled." };
  return readFault(output);
}
