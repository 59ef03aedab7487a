/** Job runners for tests: quick ones that are stopped with the test, and a wait for what a job comes to. */
import { onTestFinished, vi } from "vitest";
import type { Job, JobState } from "../../src/contracts/job.ts";
import type { JobQueue } from "../../src/jobs/job-queue.ts";
import { JobRunner, type JobRunnerOptions } from "../../src/jobs/runner.ts";
import { createLogger, type Logger } from "../../src/telemetry/logger.ts";
import { QUICK } from "./job-timing.ts";
import type { TestDatabase } from "./test-database.ts";

export interface LogLine {
  readonly level: string;
  readonly msg: string;
}

/** A log that is kept. */
export function keptLog(): { readonly log: Logger; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const log = createLogger({
    level: "debug",
    stream: { write: (line) => void lines.push(JSON.parse(line) as LogLine) },
  });
  return { log, lines };
}

/** A started runner; the test's end stops it. */
export async function startRunner(
  { url, adminUrl }: Pick<TestDatabase, "url" | "adminUrl">,
  options: Partial<JobRunnerOptions> & Pick<JobRunnerOptions, "definitions">,
): Promise<JobRunner> {
  const urls = async () => ({ url, adminUrl });
  const runner = new JobRunner({ urls, log: keptLog().log, timing: QUICK, ...options });
  onTestFinished(() => runner.stop({ timeoutMs: 5_000 }));
  await runner.start();
  return runner;
}

/** Waits until the job is in this state. */
export async function becomes(queue: JobQueue, id: string, state: JobState, timeoutMs = 10_000): Promise<Job> {
  return vi.waitFor(
    async () => {
      const job = await queue.get(id);
      if (job.state !== state) throw new Error(`The job is ${job.state}: ${JSON.stringify(job)}`);
      return job;
    },
    { timeout: timeoutMs, interval: 20 },
  );
}

/** Waits until the job's own code runs. */
export async function begins(queue: JobQueue, id: string): Promise<Job & { readonly run_id: string }> {
  return vi.waitFor(
    async () => {
      const job = await queue.get(id);
      if (job.state !== "running" || job.run_id === null) throw new Error(`The job is ${job.state}.`);
      return { ...job, run_id: job.run_id };
    },
    { timeout: 10_000, interval: 20 },
  );
}
