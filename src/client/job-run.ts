/** Records of the ledger of runs, and how they come out of the database. */
import type { JsonObject } from "../datasets/dataset.ts";
import { micros } from "./latest.ts";

export const RUN_MODES = ["live", "backfill", "maintenance"] as const;
export type RunMode = (typeof RUN_MODES)[number];

export const RUN_STATUSES = ["running", "succeeded", "failed", "cancelled"] as const;
/** A run begins as running and ends as one of the others. */
export type RunStatus = (typeof RUN_STATUSES)[number];

/** A run as lists show it. Times are microseconds since the epoch, by the database's clock. */
export interface JobRun {
  /** UUID. */
  readonly run_id: string;
  readonly job_name: string;
  readonly dataset: string | null;
  readonly provider: string | null;
  readonly mode: RunMode;
  readonly status: RunStatus;
  /** 16 hexadecimal digits; see configFingerprint. */
  readonly config_fingerprint: string | null;
  readonly rows_written: bigint;
  readonly rows_failed: bigint;
  /** How many distinct symbols; `get` lists them. */
  readonly symbol_count: number;
  /** Earliest and latest time of the data that the run worked on. */
  readonly min_ts: bigint | null;
  readonly max_ts: bigint | null;
  /** Why it failed or was cancelled. */
  readonly error: string | null;
  /** When it was last heard of. */
  readonly heartbeat_at: bigint;
  readonly started_at: bigint;
  readonly completed_at: bigint | null;
  /** From start to completion, in microseconds; null while it runs. */
  readonly elapsed_us: bigint | null;
}

/** A run with what may be large. */
export interface JobRunDetail extends JobRun {
  readonly symbols: readonly string[];
  readonly metadata: JsonObject | null;
}

/** What became of a job's runs. */
export interface RunSummary {
  readonly job_name: string;
  readonly provider: string | null;
  readonly mode: RunMode;
  readonly runs: bigint;
  readonly running: bigint;
  readonly succeeded: bigint;
  readonly failed: bigint;
  readonly cancelled: bigint;
  readonly rows_written: bigint;
  readonly rows_failed: bigint;
  /** Of the runs that ended, in microseconds; null where none did. */
  readonly mean_elapsed_us: bigint | null;
  readonly max_elapsed_us: bigint | null;
  /** Microseconds since the epoch. */
  readonly last_started_at: bigint;
}

export const RUN_COLUMNS = `run_id, job_name, dataset, provider, mode, status, config_fingerprint, rows_written, rows_failed,
  cardinality(symbols) as symbol_count, ${micros("min_ts")}, ${micros("max_ts")}, error, ${micros("heartbeat_at")},
  ${micros("started_at")}, ${micros("completed_at")}, ${duration("elapsed")}`;

export const DETAIL_COLUMNS = `${RUN_COLUMNS}, symbols, metadata`;

export const SUMMARY_COLUMNS = `job_name, provider, mode, runs, running, succeeded, failed, cancelled, rows_written,
  rows_failed, ${duration("mean_elapsed")}, ${duration("max_elapsed")}, ${micros("last_started_at")}`;

/** A summary as the driver gives it: sums are numeric, which comes as text. */
export type SummaryRow = Omit<RunSummary, "rows_written" | "rows_failed"> & {
  readonly rows_written: string;
  readonly rows_failed: string;
};

export function summaryOf(row: SummaryRow): RunSummary {
  return { ...row, rows_written: BigInt(row.rows_written), rows_failed: BigInt(row.rows_failed) };
}

function duration(column: string): string {
  return `(extract(epoch from ${column}) * 1000000)::int8 as ${column}_us`;
}
