/** `mds engine show|migrate|confirm`: which engine the database has, and the move of a live one to TimescaleDB. */
import type { Command } from "commander";
import { dropFormerTables, moveToTimescale } from "../../database/engine/move-to-timescale.ts";
import { openEngine } from "../../database/engine/open-engine.ts";
import { StoreError } from "../../errors/store-error.ts";
import { withDatabase } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import type { Shell } from "../shell.ts";

interface EngineFlags extends DatabaseFlags {
  readonly json?: boolean;
  readonly yes?: boolean;
}

type Work = (adminUrl: string, signal: AbortSignal) => Promise<void>;

export function engine(command: Command, shell: Shell): void {
  const run = ({ dsn }: EngineFlags, work: Work): Promise<void> =>
    withDatabase(shell, shell.configure({ dsn }), ({ adminUrl }, signal) => work(adminUrl, signal), {
      migrateEmbedded: false,
    });

  const show = command.command("show").description("Print the engine and what it can do.");
  addJsonFlag(addDatabaseFlag(show)).action((flags: EngineFlags) =>
    run(flags, async (adminUrl, signal) => {
      const { name, capabilities } = await openEngine(adminUrl, signal);
      if (flags.json) return shell.output.json({ name, capabilities });
      const lines = Object.entries(capabilities).map(
        ([what, capability]) => `${what}: ${capability.able ? capability.how : capability.reason}`,
      );
      return shell.output.data(`${[name, ...lines].join("\n")}\n`);
    }),
  );

  const migrate = command
    .command("migrate")
    .description("Move a live database from plain to TimescaleDB; the former tables stay until confirm.");
  addJsonFlag(addDatabaseFlag(migrate)).action((flags: EngineFlags) =>
    run(flags, async (adminUrl, signal) => {
      const moved = await moveToTimescale(adminUrl, { signal, onProgress: (message) => shell.output.note(message) });
      if (flags.json) await shell.output.json(moved);
      const rows = moved.reduce((sum, one) => sum + one.rows, 0);
      shell.output.note(
        moved.length === 0
          ? "Everything is in hypertables already."
          : `Moved ${moved.length} datasets and aggregates with ${rows} rows; \`mds engine confirm --yes\` drops the former tables.`,
      );
    }),
  );

  const confirm = command
    .command("confirm")
    .description("Drop the tables that a move has left behind.")
    .option("--yes", "really do it");
  addJsonFlag(addDatabaseFlag(confirm)).action((flags: EngineFlags) => {
    if (!flags.yes) throw new StoreError("usage", "This drops the former tables for good; repeat it with --yes.");
    return run(flags, async (adminUrl, signal) => {
      const dropped = await dropFormerTables(adminUrl, signal);
      if (flags.json) await shell.output.json(dropped);
      shell.output.note(dropped.length === 0 ? "There is nothing to drop." : `Dropped ${dropped.join(", ")}.`);
    });
  });
  addExamples(command, "npx mds engine show", "npx mds engine migrate", "npx mds engine confirm --yes");
}
