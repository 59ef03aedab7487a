/** `mds ping`: whether the database answers, and how fast. */
import type { Command } from "commander";
import { serverVersion } from "../../database/server-facts.ts";
import { withDatabase } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import type { Shell } from "../shell.ts";

interface PingFlags extends DatabaseFlags {
  readonly json?: boolean;
}

export function ping(command: Command, shell: Shell): void {
  addJsonFlag(addDatabaseFlag(command)).action((flags: PingFlags) =>
    withDatabase(
      shell,
      shell.configure({ dsn: flags.dsn }),
      async ({ url }) => {
        const startedAt = performance.now();
        const version = await serverVersion(url);
        const elapsedMs = Math.round((performance.now() - startedAt) * 10) / 10;
        if (flags.json) await shell.output.json({ engine_version: version, elapsed_ms: elapsedMs });
        else await shell.output.data(`PostgreSQL ${version} answered in ${elapsedMs} ms.\n`);
      },
      { migrateEmbedded: false },
    ),
  );
  addExamples(command, "npx mds ping");
}
