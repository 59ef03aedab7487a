/** How the queue gives jobs out here, and what it is told when an attempt has ended. */
import type { JobResult, JobWithMetadata, PgBoss } from "pg-boss";
import type { Settlement } from "./job-attempt.ts";
import type { JobFault } from "./job-fault.ts";

/** What the queue keeps of a job's request. */
export interface JobData {
  readonly input: unknown;
  readonly tenant_id?: string | null;
  /** Made by the job's schedule. */
  readonly scheduled?: boolean;
}

/** A job that the queue has given to this process. */
export type ClaimedQueueJob = JobWithMetadata<JobData>;

/** The queue's own polling is a floor only: the runner wakes its workers when there is something for them. */
const FLOOR_POLLING_SECONDS = 30;
/** A runner tells the queue this often that it lives, and learns as often that its job was cancelled. */
const TOUCH_SECONDS = 2;

export const WORK_OPTIONS = {
  includeMetadata: true,
  perJobResults: true,
  batchSize: 1,
  pollingIntervalSeconds: FLOOR_POLLING_SECONDS,
  heartbeatRefreshSeconds: TOUCH_SECONDS,
} as const;

/** A scheduled job that begins does what those of its schedule that wait behind it would do again. */
export async function dropRepeats(boss: PgBoss, job: ClaimedQueueJob): Promise<void> {
  const waiting = await boss.findJobs<JobData>(job.name, { queued: true, data: { scheduled: true } });
  const repeats = waiting.filter(({ id, state }) => id !== job.id && state === "created");
  if (repeats.length > 0)
    await boss.deleteJob(
      job.name,
      repeats.map(({ id }) => id),
    );
}

/** Back to the queue at once, with one attempt more than before. */
export async function giveBack(boss: PgBoss, job: ClaimedQueueJob, fault: JobFault): Promise<void> {
  await boss.fail(job.name, job, fault);
  if (job.retryCount >= job.retryLimit) await boss.retry(job.name, job.id);
  await boss.update(job.name, undefined, { id: job.id, startAfter: 0, retryLimit: job.retryLimit + 1 });
}

/** What the queue does with the job. */
export function resultsOf(id: string, settlement: Settlement): JobResult[] {
  switch (settlement.kind) {
    case "succeeded":
      return [{ id, status: "completed", output: { result: settlement.result } }];
    case "failed":
      return [{ id, status: settlement.final ? "deadletter" : "failed", output: settlement.fault }];
    case "stopped":
    case "gone":
      // The job is no longer this attempt's, so what is said of it here changes nothing.
      return [];
  }
}
