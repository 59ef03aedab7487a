/** `mds jobs runs|stuck|prune|summary`: the ledger of runs, a tenant's or the system's. */
import { type Command, Option } from "commander";
import {
  type JobRun,
  RUN_MODES,
  RUN_STATUSES,
  type RunMode,
  type RunStatus,
  type RunSummary,
} from "../../client/job-run.ts";
import { Runs } from "../../client/runs.ts";
import { escapeUnsafe } from "../../datasets/values/show-value.ts";
import { formatTime } from "../../datasets/values/time.ts";
import { withAdmin, withStore } from "../connect.ts";
import { addExamples, addJsonFlag, addTenantFlags, type TenantFlags, wholeNumber } from "../flags.ts";
import type { Shell } from "../shell.ts";
import { type TableColumn, tableText } from "../table.ts";

interface LedgerFlags extends TenantFlags {
  readonly system?: boolean;
  readonly json?: boolean;
}
interface RunsFlags extends LedgerFlags {
  readonly job?: string;
  readonly provider?: string;
  readonly dataset?: string;
  readonly mode?: RunMode;
  readonly status?: RunStatus;
  readonly limit: number;
}
interface PruneFlags extends LedgerFlags {
  readonly days: number;
  readonly dryRun?: boolean;
}

const MINUTE_MS = 60_000;
const DEFAULTS = { limit: 20, stuckMinutes: 15, summaryHours: 24 } as const;
/** As much of an error as fits a line of a table; `--json` has all of it. */
const MAX_ERROR_SHOWN = 60;

const RUN_TABLE: readonly TableColumn[] = [
  { name: "started_at" },
  { name: "job_name" },
  { name: "provider" },
  { name: "mode" },
  { name: "status" },
  { name: "rows_written", isNumber: true },
  { name: "rows_failed", isNumber: true },
  { name: "elapsed_s", isNumber: true },
  { name: "heartbeat_at" },
  { name: "run_id" },
  { name: "error" },
];
const SUMMARY_TABLE: readonly TableColumn[] = [
  { name: "job_name" },
  { name: "provider" },
  { name: "mode" },
  ...["runs", "running", "succeeded", "failed", "cancelled", "rows_written", "rows_failed", "mean_s", "max_s"].map(
    (name) => ({ name, isNumber: true }),
  ),
  { name: "last_started_at" },
];

export function addLedgerVerbs(command: Command, shell: Shell): void {
  addRuns(command, shell);
  addStuck(command, shell);
  addPrune(command, shell);
  addSummary(command, shell);
}

function addRuns(command: Command, shell: Shell): void {
  const verb = command
    .command("runs")
    .description("List the newest runs.")
    .option("--job <name>", "only of this job")
    .option("--provider <provider>", "only of this provider")
    .option("--dataset <dataset>", "only of this dataset")
    .addOption(new Option("--mode <mode>", "only in this mode").choices(RUN_MODES))
    .addOption(new Option("--status <status>", "only with this status").choices(RUN_STATUSES))
    .option("--limit <runs>", "at most so many", wholeNumber(1, 1_000), DEFAULTS.limit);
  addLedgerFlags(verb).action((flags: RunsFlags) => {
    const { job, provider, dataset, mode, status, limit } = flags;
    const filter = {
      limit,
      ...(job !== undefined && { job_name: job }),
      ...(provider !== undefined && { provider }),
      ...(dataset !== undefined && { dataset }),
      ...(mode !== undefined && { mode }),
      ...(status !== undefined && { status }),
    };
    return withLedger(shell, flags, async (ledger, signal) => {
      await printRuns(shell, await ledger.recent(filter, { signal }), flags, "No runs match.");
    });
  });
  addExamples(verb, "npx mds jobs runs --job load-bars --status failed --limit 5", "npx mds jobs runs --system --json");
}

function addStuck(command: Command, shell: Shell): void {
  const verb = command
    .command("stuck")
    .description("List runs that are said to be running and were not heard of for some time, by the database's clock.")
    .option("--minutes <minutes>", "for so long", wholeNumber(1, 1_000_000), DEFAULTS.stuckMinutes);
  addLedgerFlags(verb).action((flags: LedgerFlags & { readonly minutes: number }) =>
    withLedger(shell, flags, async (ledger, signal) => {
      await printRuns(shell, await ledger.stuck(flags.minutes * MINUTE_MS, { signal }), flags, "No run is stuck.");
    }),
  );
  addExamples(verb, "npx mds jobs stuck --minutes 15");
}

function addPrune(command: Command, shell: Shell): void {
  const verb = command
    .command("prune")
    .description("Delete finished runs that ended some time ago; a running one is never deleted.")
    .requiredOption("--days <days>", "more than so many days ago", wholeNumber(1, 36_500))
    .option("--dry-run", "only count them");
  addLedgerFlags(verb).action((flags: PruneFlags) =>
    withLedger(shell, flags, async (ledger, signal) => {
      const { days, dryRun = false, json } = flags;
      const runs = await ledger.prune(days, { dryRun, signal });
      const sentence = `${dryRun ? "Would delete" : "Deleted"} ${runs} ${runs === 1n ? "run" : "runs"}.\n`;
      if (json) await shell.output.json(jsonOf({ runs, dry_run: dryRun }));
      else await shell.output.data(sentence);
    }),
  );
  addExamples(verb, "npx mds jobs prune --days 90 --dry-run", "npx mds jobs prune --days 90");
}

function addSummary(command: Command, shell: Shell): void {
  const verb = command
    .command("summary")
    .description("Sum up the runs that ended in the last hours or are still running, by job.")
    .option("--hours <hours>", "so many hours", wholeNumber(1, 876_000), DEFAULTS.summaryHours);
  addLedgerFlags(verb).action((flags: LedgerFlags & { readonly hours: number }) =>
    withLedger(shell, flags, async (ledger, signal) => {
      const rows = await ledger.summary(flags.hours, { signal });
      if (flags.json) await shell.output.json(rows.map(jsonOf));
      else if (rows.length > 0) await shell.output.data(tableText(SUMMARY_TABLE, rows.map(summaryCells)));
      if (rows.length === 0) shell.output.note(`No run ended in the last ${flags.hours} hours, and none is running.`);
    }),
  );
  addExamples(verb, "npx mds jobs summary --hours 24");
}

function addLedgerFlags(command: Command): Command {
  const system = new Option("--system", "the system's own runs, which belong to no tenant").conflicts("tenant");
  return addJsonFlag(addTenantFlags(command).addOption(system));
}

function withLedger(
  shell: Shell,
  { dsn, tenant, system }: LedgerFlags,
  work: (ledger: Runs, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  if (!system) {
    return withStore(shell, shell.configure({ dsn, tenant }), "jobs", (store, signal) => work(store.runs, signal));
  }
  return withAdmin(shell, shell.configure({ dsn }), (scope, signal) =>
    work(new Runs({ ...scope, role: "mds_admin" }), signal),
  );
}

async function printRuns(
  shell: Shell,
  runs: readonly JobRun[],
  { json }: LedgerFlags,
  noneSentence: string,
): Promise<void> {
  if (json) await shell.output.json(runs.map(jsonOf));
  else if (runs.length > 0) await shell.output.data(tableText(RUN_TABLE, runs.map(runCells)));
  if (runs.length === 0) shell.output.note(noneSentence);
}

function runCells(run: JobRun): string[] {
  const { started_at, job_name, provider, mode, status, rows_written, rows_failed, elapsed_us, heartbeat_at } = run;
  const cells = [formatTime(started_at), job_name, provider ?? "", mode, status, String(rows_written)];
  return [
    ...cells,
    String(rows_failed),
    secondsText(elapsed_us),
    formatTime(heartbeat_at),
    run.run_id,
    escapeUnsafe((run.error ?? "").slice(0, MAX_ERROR_SHOWN)),
  ];
}

function summaryCells(row: RunSummary): string[] {
  const counts = [row.runs, row.running, row.succeeded, row.failed, row.cancelled, row.rows_written, row.rows_failed];
  return [
    row.job_name,
    row.provider ?? "",
    row.mode,
    ...counts.map(String),
    secondsText(row.mean_elapsed_us),
    secondsText(row.max_elapsed_us),
    formatTime(row.last_started_at),
  ];
}

function secondsText(us: bigint | null): string {
  return us === null ? "" : (Number(us) / 1_000_000).toFixed(3);
}

/** A record for JSON: times as ISO 8601, counts as numbers where those hold them exactly, else as text. */
function jsonOf(record: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, jsonValue(name, value)]));
}

function jsonValue(name: string, value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  if (/_(?:at|ts)$/.test(name)) return formatTime(value);
  return BigInt(Number(value)) === value ? Number(value) : String(value);
}
