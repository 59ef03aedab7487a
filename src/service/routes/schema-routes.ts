/**
 * `/schema/version`: the state of the schema, read from the database. Requests at the same time share one reading, so
 * however many there are, they use one connection.
 */
import type { FastifyInstance } from "fastify";
import type { SchemaVersion } from "../../contracts/schema-version.ts";
import { withDeadline } from "../../resilience/with-deadline.ts";
import { asAway } from "../database-away.ts";
import type { ServiceDatabase } from "../service-database.ts";

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
      throw asAway(cause);
    }
  });
}
