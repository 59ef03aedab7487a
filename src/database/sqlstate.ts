/**
 * The one place where what PostgreSQL, its driver or the network says becomes a StoreError: by SQLSTATE and errno,
 * never by text. Anything unknown is `database_error` and keeps its cause.
 */
import type { ErrorCode } from "../errors/codes.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";

const BY_SQLSTATE: Readonly<Record<string, ErrorCode>> = {
  MD001: "series_unknown",
  MD002: "time_out_of_range",
  MD003: "run_unknown",
  MD004: "run_finished",
  MD005: "login_refused",
  MD009: "policy_refused",
  MD011: "job_superseded",
  MD013: "tenant_protected",
  MD016: "constraint_violated",
  "23502": "constraint_violated",
  "23503": "constraint_violated",
  "23505": "constraint_violated",
  "23514": "constraint_violated",
  "25006": "database_unavailable", // read-only: a standby, or a primary that was just demoted
  "3D000": "database_refused",
  "3F000": "migration_pending",
  "40001": "database_conflict",
  "40P01": "database_conflict",
  "42501": "tenant_refused",
  "42883": "migration_pending",
  "42P01": "migration_pending",
  "53100": "database_full",
  "53200": "database_overloaded",
  "53300": "database_overloaded",
  "55P03": "database_conflict",
  "57014": "deadline_exceeded",
};

const BY_CLASS: Readonly<Record<string, ErrorCode>> = {
  "08": "database_unavailable",
  "22": "constraint_violated",
  "28": "database_refused",
  "57": "database_unavailable",
};

const ERRNO_UNAVAILABLE = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
]);

const ADVICE: Partial<Record<ErrorCode, string>> = {
  database_unavailable: "The database does not answer",
  database_overloaded: "The database has no room for another connection or query",
  database_conflict: "The database gave up this transaction in favour of another one; it may be tried again",
  database_full: "The database's disk is full",
  database_refused: "The database refused this login or database",
  login_refused: "This login cannot be bound",
  policy_refused: "These policies cannot be set",
  tenant_protected: "This tenant cannot be deleted",
  tenant_refused: "This tenant may not do that, or does not exist",
  series_unknown: "A series of this batch does not exist",
  run_unknown: "There is no such run; it was never started here, was pruned, or belongs to another tenant",
  run_finished: "The run is over, and a finished run never changes",
  job_superseded: "Another runner has taken this job over",
  migration_pending: "The database lacks a part of the store's schema; run `mds migrate`",
  partition_missing: "There is no partition for a time of this batch",
  deadline_exceeded: "The database did not finish in time",
  constraint_violated: "The database refused a value",
  time_out_of_range: "A time is outside 1900-01-01 to two years from now",
};

/** Facts of a driver's error that are worth keeping; none of them holds row values or secrets. */
interface DriverError {
  readonly code?: string;
  readonly routine?: string;
  readonly constraint?: string;
}

/** Turns whatever a database call threw into a StoreError; a StoreError passes unchanged. */
export function toStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { code: sqlstate, routine, constraint } = error as DriverError;
  const code = codeOf(error, sqlstate, routine);
  const advice = ADVICE[code] ?? "The database reported an error";
  return new StoreError(code, `${advice}: ${firstMessage(error)}`, {
    cause: error,
    details: { ...(sqlstate && { sqlstate }), ...(constraint && { constraint }) },
  });
}

function codeOf(error: unknown, sqlstate: string | undefined, routine: string | undefined): ErrorCode {
  if (sqlstate === "23514" && routine === "ExecFindPartition") return "partition_missing";
  if (sqlstate !== undefined && ERRNO_UNAVAILABLE.has(sqlstate)) return "database_unavailable";
  if (sqlstate !== undefined && sqlstate.length === 5) {
    return BY_SQLSTATE[sqlstate] ?? BY_CLASS[sqlstate.slice(0, 2)] ?? "database_error";
  }
  if (error instanceof AggregateError)
    return codeOf(error.errors[0], (error.errors[0] as DriverError)?.code, undefined);
  // The driver's own errors have no code: the connection broke, or none was free in time.
  return error instanceof TypeError || error instanceof RangeError ? "internal" : "database_unavailable";
}

function firstMessage(error: unknown): string {
  return error instanceof AggregateError && error.message === "" ? messageOf(error.errors[0]) : messageOf(error);
}
