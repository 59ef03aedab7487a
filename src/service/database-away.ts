/** How a database that is away is told over HTTP: as such, without its address. */
import type { ErrorCode } from "../errors/codes.ts";
import { StoreError } from "../errors/store-error.ts";

/** What says that the database is away, rather than that something is wrong with it. */
const AWAY: ReadonlySet<ErrorCode> = new Set([
  "database_unavailable",
  "database_overloaded",
  "database_refused",
  "deadline_exceeded",
  "aborted",
]);

/** Whether an error says that the database cannot be asked just now. */
export function isAway(error: unknown): error is StoreError {
  return error instanceof StoreError && AWAY.has(error.code);
}

/** What to throw for what a call of the database threw. Anything but its absence stays what it is. */
export function asAway(cause: unknown): unknown {
  if (!isAway(cause)) return cause;
  const code = cause.status === 503 ? cause.code : "database_unavailable";
  return new StoreError(code, "The database does not answer; try again later.", { cause });
}
