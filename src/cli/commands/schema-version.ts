/** `mds schema-version`: the state of the database's schema, as the service shows it under /schema/version. */
import type { Command } from "commander";
import { StoreDatabase } from "../../database/store-database.ts";
import { withDatabase } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import type { Shell } from "../shell.ts";

interface SchemaVersionFlags extends DatabaseFlags {
  readonly json?: boolean;
}

export function schemaVersion(command: Command, shell: Shell): void {
  addJsonFlag(addDatabaseFlag(command)).action((flags: SchemaVersionFlags) =>
    withDatabase(
      shell,
      shell.configure({ dsn: flags.dsn }),
      async ({ url }, signal) => {
        const database = new StoreDatabase({ url, maxConnections: 1 });
        try {
          const state = await database.schemaVersion(signal);
          if (flags.json) await shell.output.json(state);
          else await shell.output.data(`${sentence(state)}\n`);
        } finally {
          await database.close();
        }
      },
      { migrateEmbedded: false },
    ),
  );
  addExamples(command, "npx mds schema-version", "npx mds schema-version --json");
}

type SchemaState = Awaited<ReturnType<StoreDatabase["schemaVersion"]>>;

function sentence({ version, applied_at, pending, checksum_ok, engine, engine_version }: SchemaState): string {
  const server = `PostgreSQL ${engine_version}`;
  const place = engine === null ? server : `the ${engine} engine (${server})`;
  if (version === 0) return `The store is not installed on this ${server}; run \`mds migrate\`.`;
  const rest = pending === 0 ? "and nothing is pending" : `and ${pending} more are pending: run \`mds migrate\``;
  const altered = checksum_ok
    ? ""
    : " A migration was altered, or is unknown to this version: see `mds migrate status`.";
  return `The schema is at version ${version}, applied ${applied_at}, on ${place}, ${rest}.${altered}`;
}
