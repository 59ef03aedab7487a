/**
 * `mds migrate [up|down|status|stamp]`. Going back loses data, so `down` wants a version and a confirmation, and says
 * first what it will do.
 */
import { Argument, type Command } from "commander";
import { bringUpToDate } from "../../database/bring-up-to-date.ts";
import type { Migration } from "../../database/migration-files.ts";
import {
  type MigratorOptions,
  migrateDown,
  migrateUp,
  migrationStatus,
  stampMigrations,
} from "../../database/migrator.ts";
import { StoreError } from "../../errors/store-error.ts";
import { withDatabase } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags, wholeNumber } from "../flags.ts";
import type { Shell } from "../shell.ts";
import { tableText } from "../table.ts";

interface MigrateFlags extends DatabaseFlags {
  readonly to?: number;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

type Action = (shell: Shell, options: MigratorOptions, flags: MigrateFlags) => Promise<void>;

const ACTIONS: Readonly<Record<string, Action>> = { up, down, status, stamp };
/** Migrations are numbered with four digits. */
const MAX_VERSION = 9_999;

export function migrate(command: Command, shell: Shell): void {
  command
    .addArgument(new Argument("[action]", "what to do").choices(Object.keys(ACTIONS)).default("up"))
    .option("--to <version>", "up, stamp: no further than this; down: back to this", wholeNumber(0, MAX_VERSION))
    .option("--dry-run", "up, down: only say what would be done")
    .option("--yes", "down: really do it");
  addJsonFlag(addDatabaseFlag(command)).action(async (action: keyof typeof ACTIONS, flags: MigrateFlags) => {
    refuseMeaningless(action, flags);
    const config = shell.configure({ dsn: flags.dsn });
    const { engine } = config.values;
    await withDatabase(
      shell,
      config,
      ({ url, adminUrl }) => ACTIONS[action]!(shell, { adminUrl, serviceUrl: url, engine }, flags),
      { migrateEmbedded: false },
    );
  });
  addExamples(command, "npx mds migrate", "npx mds migrate status", "npx mds migrate down --to 1 --yes");
}

function refuseMeaningless(action: string, { to, dryRun, yes }: MigrateFlags): void {
  const refuse = (flag: string): never => {
    throw new StoreError("usage", `\`mds migrate ${action}\` has no ${flag}.`);
  };
  if (action === "status" && to !== undefined) refuse("--to");
  if ((action === "status" || action === "stamp") && dryRun) refuse("--dry-run");
  if (action !== "down" && yes) refuse("--yes");
  if ((action === "down" || action === "stamp") && to === undefined) {
    throw new StoreError("usage", `\`mds migrate ${action}\` needs the version with --to N.`);
  }
}

async function up(shell: Shell, options: MigratorOptions, { to, dryRun, json }: MigrateFlags): Promise<void> {
  const step = { ...(to !== undefined && { to }), ...(dryRun && { dryRun }) };
  const isWhole = to === undefined && !dryRun;
  const migrations = isWhole ? await bringUpToDate(options) : await migrateUp(options, step);
  await print(shell, migrations, dryRun ? "pending" : "applied", json);
  if (migrations.length === 0) shell.output.note("Nothing is pending.");
  else shell.output.note(dryRun ? `Would apply ${list(migrations)}.` : `Applied ${list(migrations)}.`);
}

async function down(shell: Shell, options: MigratorOptions, flags: MigrateFlags): Promise<void> {
  const to = flags.to!;
  const plan = await migrateDown(options, { to, dryRun: true });
  if (plan.length === 0) {
    await print(shell, [], "pending", flags.json);
    shell.output.note(`Nothing newer than version ${to} is applied.`);
    return;
  }
  const what = `${list(plan)}, with all data in the tables that ${plan.length === 1 ? "it" : "they"} made`;
  if (!flags.dryRun && !flags.yes) {
    throw new StoreError("usage", `This would take back ${what}; add --yes to do it.`);
  }
  shell.output.note(flags.dryRun ? `Would take back ${what}.` : `Taking back ${what}.`);
  const undone = flags.dryRun ? plan : await migrateDown(options, { to });
  await print(shell, undone, flags.dryRun ? "applied" : "pending", flags.json);
}

async function stamp(shell: Shell, options: MigratorOptions, { to, json }: MigrateFlags): Promise<void> {
  const stamped = await stampMigrations(options, to!);
  await print(shell, stamped, "applied", json);
  shell.output.note(
    stamped.length === 0 ? "Nothing was pending." : `Recorded ${list(stamped)} as applied, without running it.`,
  );
}

async function status(shell: Shell, options: MigratorOptions, { json }: MigrateFlags): Promise<void> {
  const states = await migrationStatus(options);
  if (json) await shell.output.json(states);
  else {
    const cells = states.map(({ version, name, state, applied_at }) => [
      String(version),
      name,
      state,
      applied_at ?? "",
    ]);
    await shell.output.data(
      tableText(
        [{ name: "version", isNumber: true }, { name: "name" }, { name: "state" }, { name: "applied_at" }],
        cells,
      ),
    );
  }
}

async function print(
  shell: Shell,
  migrations: readonly Migration[],
  state: string,
  json: boolean | undefined,
): Promise<void> {
  if (json) await shell.output.json(migrations.map(({ version, name }) => ({ version, name, state })));
}

function list(migrations: readonly Migration[]): string {
  const names = migrations.map(({ version, name }) => `${version} (${name})`);
  return `${migrations.length === 1 ? "migration" : "migrations"} ${names.join(", ")}`;
}
