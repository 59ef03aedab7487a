/** `mds jobs list|show|cancel|retry`: jobs that wait, run or have ended. */
import { type Command, Option } from "commander";
import type { Job, JobState } from "../../contracts/job.ts";
import { JOB_STATES } from "../../contracts/job-states.ts";
import { escapeUnsafe } from "../../datasets/values/show-value.ts";
import { getJob, listJobs } from "../../jobs/job-records.ts";
import type { JobRunner } from "../../jobs/runner.ts";
import { withAdmin, withDatabase } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags, wholeNumber } from "../flags.ts";
import { openQueue } from "../open-queue.ts";
import type { Shell } from "../shell.ts";
import { type TableColumn, tableText } from "../table.ts";

interface QueueFlags extends DatabaseFlags {
  readonly json?: boolean;
}
interface ListFlags extends QueueFlags {
  readonly job?: string;
  readonly state?: JobState;
  readonly limit: number;
}

const DEFAULT_LIMIT = 20;
/** As much of a message as fits a line of a table; `show` has all of it. */
const MAX_MESSAGE_SHOWN = 60;

const TABLE: readonly TableColumn[] = [
  { name: "created_at" },
  { name: "name" },
  { name: "state" },
  { name: "attempts", isNumber: true },
  { name: "rows_written", isNumber: true },
  { name: "rows_failed", isNumber: true },
  { name: "id" },
  { name: "message" },
];

export function addQueueVerbs(command: Command, shell: Shell): void {
  addList(command, shell);
  addShow(command, shell);
  addChange(command, shell, "cancel", "Cancel a job that has not ended; one that runs is told to stop.");
  addChange(command, shell, "retry", "Try a failed or cancelled job again, from where it was.");
}

/** What `show` prints, and `enqueue --wait`. */
export async function printJob(shell: Shell, job: Job, json: boolean | undefined): Promise<void> {
  if (json) {
    await shell.output.json(job);
    return;
  }
  const fields = Object.entries(job).filter(([, value]) => value !== null);
  const width = Math.max(...fields.map(([name]) => name.length));
  const lines = fields.map(([name, value]) => `${name.padEnd(width)}  ${cellOf(value)}\n`);
  await shell.output.data(lines.join(""));
}

function addList(command: Command, shell: Shell): void {
  const verb = command
    .command("list")
    .description("List the newest jobs.")
    .option("--job <name>", "only of this name")
    .addOption(new Option("--state <state>", "only in this state").choices(JOB_STATES))
    .option("--limit <jobs>", "at most so many", wholeNumber(1, 1_000), DEFAULT_LIMIT);
  addJsonFlag(addDatabaseFlag(verb)).action(({ dsn, job, state, limit, json }: ListFlags) =>
    withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      const filter = { limit, ...(job !== undefined && { name: job }), ...(state !== undefined && { state }) };
      const found = await listJobs(scope, filter, signal);
      if (json) await shell.output.json(found);
      else if (found.length > 0) await shell.output.data(tableText(TABLE, found.map(cellsOf)));
      if (found.length === 0) shell.output.note("No jobs match.");
    }),
  );
  addExamples(verb, "npx mds jobs list --state failed", "npx mds jobs list --job prune-runs --limit 5 --json");
}

function addShow(command: Command, shell: Shell): void {
  const verb = command.command("show <id>").description("Show a job: its state, progress, result or error.");
  addJsonFlag(addDatabaseFlag(verb)).action((id: string, { dsn, json }: QueueFlags) =>
    withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      await printJob(shell, await getJob(scope, id, signal), json);
    }),
  );
  addExamples(verb, "npx mds jobs show 0b9f7c1e-5d0e-4a0c-9d57-2a86f1f0a1de");
}

function addChange(command: Command, shell: Shell, name: "cancel" | "retry", description: string): void {
  const verb = command.command(`${name} <id>`).description(description);
  addJsonFlag(addDatabaseFlag(verb)).action((id: string, { dsn, json }: QueueFlags) => {
    const config = shell.configure({ dsn });
    return withDatabase(shell, config, async (database, signal) => {
      await using queue: JobRunner = await openQueue(shell, config, database);
      const job = await queue[name](id, signal);
      if (json) await shell.output.json(job);
      else await shell.output.data(`The job ${job.id} is ${job.state}.\n`);
    });
  });
  addExamples(verb, `npx mds jobs ${name} 0b9f7c1e-5d0e-4a0c-9d57-2a86f1f0a1de`);
}

function cellsOf({ created_at, name, state, attempts, progress, id, error }: Job): string[] {
  const message = state === "succeeded" ? progress?.message : (error?.message ?? progress?.message);
  return [
    created_at,
    name,
    state,
    String(attempts),
    String(progress?.rows_written ?? 0),
    String(progress?.rows_failed ?? 0),
    id,
    escapeUnsafe((message ?? "").slice(0, MAX_MESSAGE_SHOWN)),
  ];
}

function cellOf(value: unknown): string {
  return escapeUnsafe(typeof value === "string" ? value : JSON.stringify(value));
}
