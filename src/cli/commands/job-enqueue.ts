/**
 * `mds jobs enqueue`: asks for a job. With `--wait` it waits for the job's end; where no service runs jobs it then runs
 * the job itself, so that the same line works with a service and without one.
 */
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { Job } from "../../contracts/job.ts";
import { hasSession } from "../../database/server-facts.ts";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { isFinal } from "../../jobs/job-records.ts";
import type { JobRunner } from "../../jobs/runner.ts";
import { runnerSessionName, SERVICE_GROUP } from "../../jobs/session-name.ts";
import { withDatabase } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import { openQueue } from "../open-queue.ts";
import { EXIT, type Shell } from "../shell.ts";
import { printJob } from "./job-queue.ts";

interface EnqueueFlags extends DatabaseFlags {
  readonly input?: string;
  readonly wait?: boolean;
  readonly json?: boolean;
}

/** How often a job is looked at. */
const POLL_MS = 250;
/** How many looks at the job come between two at the service that runs it. */
const POLLS_PER_LOOK = 20;
/** What a queue accepts of an input. */
const MAX_INPUT_BYTES = 1_000_000;

export function addEnqueue(command: Command, shell: Shell): void {
  const verb = command
    .command("enqueue <name>")
    .description(
      "Ask for a job and print its id. With --wait, wait for its end; where no service runs jobs, run it here meanwhile.",
    )
    .option("--input <json>", "what it is asked for: JSON, or @FILE with JSON in it")
    .option("--wait", "wait for the job's end, and print it");
  addJsonFlag(addDatabaseFlag(verb)).action(async (name: string, flags: EnqueueFlags) => {
    const input = flags.input === undefined ? {} : await readInput(flags.input);
    const config = shell.configure({ dsn: flags.dsn });
    await withDatabase(shell, config, async (database, signal) => {
      const isServed = await hasSession(database.adminUrl, runnerSessionName(SERVICE_GROUP));
      const runsHere = flags.wait === true && !isServed;
      await using queue = await openQueue(shell, config, database, runsHere ? [name] : []);
      const job = await queue.enqueue(name, input, { signal }).catch(asUsage);
      const { adminUrl } = database;
      if (flags.wait) await waitFor(shell, queue, job, { runsHere, adminUrl, json: flags.json, signal });
      else await tellAccepted(shell, job, isServed, flags.json);
    });
  });
  addExamples(verb, "npx mds jobs enqueue prune-runs", `npx mds jobs enqueue prune-runs --input '{"days":30}' --wait`);
}

/** What was asked for cannot be, whoever is asked. */
function asUsage(error: unknown): never {
  const isWrong = error instanceof StoreError && (error.code === "job_unknown" || error.code === "body_invalid");
  throw isWrong ? new StoreError("usage", error.message, { cause: error }) : error;
}

async function tellAccepted(shell: Shell, job: Job, isServed: boolean, json: boolean | undefined): Promise<void> {
  if (json) await shell.output.json(job);
  else await shell.output.data(`${job.id}\n`);
  if (isServed) return;
  shell.output.note("No service runs jobs on this database now; the job waits for one. With --wait it is run here.");
}

interface WaitOptions {
  readonly runsHere: boolean;
  readonly adminUrl: string;
  readonly json: boolean | undefined;
  readonly signal: AbortSignal;
}

async function waitFor(shell: Shell, queue: JobRunner, { id, name }: Job, options: WaitOptions): Promise<void> {
  const { runsHere, adminUrl, json, signal } = options;
  let isServed = true;
  if (runsHere) shell.output.note(`No service runs jobs on this database now, so ${name} is run here.`);
  try {
    for (let polls = 1; ; polls++) {
      const job = await queue.get(id, signal);
      if (isFinal(job.state)) {
        await printJob(shell, job, json);
        if (job.state !== "succeeded") shell.exitCode = EXIT.failed;
        return;
      }
      shell.output.progress(progressText(job));
      if (!runsHere && polls % POLLS_PER_LOOK === 0) {
        const wasServed = isServed;
        isServed = await hasSession(adminUrl, runnerSessionName(SERVICE_GROUP));
        if (wasServed && !isServed) shell.output.note("The service is gone; the job goes on when one runs again.");
      }
      await sleep(POLL_MS, undefined, { signal });
    }
  } catch (error) {
    if (signal.aborted) {
      const how =
        runsHere || !isServed ? "goes on from its last checkpoint when a service runs" : "goes on without this command";
      shell.output.note(`The job ${id} ${how}; \`mds jobs cancel ${id}\` ends it.`);
    }
    throw error;
  }
}

function progressText({ name, state, progress }: Job): string {
  const rows = progress === null ? "" : `, ${progress.rows_written} rows, ${progress.rows_failed} failed`;
  return `${name}: ${state}${rows}${progress?.message == null ? "" : `: ${progress.message}`}`;
}

async function readInput(text: string): Promise<unknown> {
  const json = text.startsWith("@") ? await readInputFile(text.slice(1)) : text;
  try {
    return JSON.parse(json) as unknown;
  } catch (cause) {
    throw new StoreError("usage", `--input is no JSON: ${messageOf(cause)}.`, { cause });
  }
}

async function readInputFile(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size <= MAX_INPUT_BYTES) return await file.readFile("utf8");
  } catch (cause) {
    throw new StoreError("usage", `--input names a file that cannot be read: ${messageOf(cause)}`, { cause });
  }
  throw new StoreError(
    "usage",
    `The file ${path} is too large for an input; at most ${MAX_INPUT_BYTES} bytes are kept.`,
  );
}
