/**
 * What a failed write means for its rows and for the circuit, by the error's code. A code that is not listed belongs to
 * the rows themselves: trying them again cannot help, and the batch is halved until the bad row is alone.
 */
import type { ErrorCode } from "../errors/codes.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";

/**
 * `away`: nobody could write now, so the circuit counts it. `again`: these rows may succeed in a moment; the database
 * answers. `batch`: no row of this batch can be stored, whichever it is. `row`: at least one row cannot.
 */
export type Verdict = "away" | "again" | "batch" | "row";

interface Failure {
  readonly verdict: Verdict;
  readonly code: ErrorCode;
  readonly message: string;
}

const VERDICTS: Partial<Record<ErrorCode, Verdict>> = {
  database_unavailable: "away",
  database_overloaded: "away",
  database_full: "away",
  deadline_exceeded: "away",
  // What a person mends while rows wait: a rotated password, a database that is being restored or migrated.
  database_refused: "away",
  migration_pending: "away",
  role_missing: "away",
  database_conflict: "again",
  series_unknown: "again",
  partition_missing: "again",
  tenant_refused: "batch",
  tenant_unknown: "batch",
};

export function judgeFailure(error: unknown): Failure {
  if (error instanceof StoreError) {
    return {
      verdict: VERDICTS[error.code] ?? (error.retryable ? "again" : "row"),
      code: error.code,
      message: error.message,
    };
  }
  return { verdict: "row", code: "internal", message: `Writing failed unexpectedly: ${messageOf(error)}` };
}
