/** The queue as everybody else sees it: the routes, the command, and those who define jobs of their own. */
import type { Job, JobState } from "../contracts/job.ts";
import type { JobDefinition } from "./define-job.ts";

export interface EnqueueOptions {
  /** The job's id; a second call with the same id makes no second job and answers with the first. */
  readonly id?: string;
  readonly signal?: AbortSignal;
}

export interface JobFilter {
  readonly name?: string;
  readonly state?: JobState;
  /** At most so many, 1 to 1,000; 100 unless given. */
  readonly limit?: number;
}

/** Jobs that are waiting, running or done. */
export interface JobQueue {
  /** Every job that can be asked for, by name. */
  readonly definitions: ReadonlyMap<string, JobDefinition>;
  /**
   * Accepts a job. Its input is checked by the job's schema.
   *
   * @throws StoreError `job_unknown` with the known names, `body_invalid` with the paths of the wrong fields.
   */
  enqueue(name: string, input: unknown, options?: EnqueueOptions): Promise<Job>;
  /** @throws StoreError `job_not_found`. */
  get(id: string, signal?: AbortSignal): Promise<Job>;
  /** The newest first. */
  list(filter?: JobFilter, signal?: AbortSignal): Promise<Job[]>;
  /** Cancels a job that has not ended; one that runs is told to stop. @throws StoreError `job_not_found`, `job_finished`. */
  cancel(id: string, signal?: AbortSignal): Promise<Job>;
  /** Tries a failed or cancelled job again, from its last checkpoint. @throws StoreError `job_not_found`, `job_not_failed`. */
  retry(id: string, signal?: AbortSignal): Promise<Job>;
}
