/**
 * `/schema/version`: the state of the schema, read from the database. Requests at the same time share one reading, so
 * however many there are, they use one connection.
 */
import type { FastifyInstance } from "fastify";
import type { ErrorCode } from "../../errors/codes.ts";
import { StoreError } from "../../errors/store-error.ts";
import { withDeadline } from "../../resilience/with-deadline.ts";
import type { SchemaVersion, ServiceDatabase } from "../service-database.ts";

/** Longer than any reading of a small table takes, shorter than a client's patience. */
const READ_DEADLINE_MS = 2_000;

/** Adds the route. */
export function addSchemaRoutes(app: FastifyInstance, database: Pick<ServiceDatabase, "schemaVersion">): void {
  let reading: Promise<SchemaVersion> | undefined;
  const read = (): Promise<SchemaVersion> => {
    reading ??= withDeadline(READ_DEADLINE_MS, (signal) => database.schemaVersion(signal)).finally(() => {
      reading = undefined;
    });
    return reading;
  };
  app.get("/schema/version", async () => {
    try {
      const { version, applied_at, pending, checksum_ok, engine, engine_version } = await read();
      return { version, applied_at, pending, checksum_ok, engine, engine_version };
    } catch (cause) {
      throw away(cause);
    }
  });
}

/** What says that the database is away, rather than that something is wrong with it. */
const AWAY: ReadonlySet<ErrorCode> = new Set([
  "database_unavailable",
  "database_overloaded",
  "database_refused",
  "deadline_exceeded",
  "aborted",
]);

/** A database that is away is told as such, without its address. Anything else stays what it is. */
function away(cause: unknown): unknown {
  if (!(cause instanceof StoreError && AWAY.has(cause.code))) return cause;
  const code = cause.status === 503 ? cause.code : "database_unavailable";
  return new StoreError(code, "The database does not answer; try again later.", { cause });
}
