/**
 * Looks at the queue every second with one small statement: wakes the workers of jobs that may begin, tells how deep the
 * queue is, and completes runs that nobody else will. It knows thereby whether the queue can be reached.
 */
import type { JobRun } from "../client/job-run.ts";
import { toStoreError } from "../database/sqlstate.ts";
import type { AdminScope } from "../database/tenants.ts";
import type { StoreError } from "../errors/store-error.ts";
import type { Logger } from "../telemetry/logger.ts";
import { completeLostRun } from "./job-attempt.ts";
import { abandonedRuns, endAttempt, type JobQueueDepth, queueDepths, readyJobs } from "./job-progress.ts";

interface QueueWatchOptions {
  readonly scope: AdminScope;
  readonly log: Logger;
  readonly wakeMs: number;
  /** How long a run has to be silent before it counts as abandoned. */
  readonly silenceMs: number;
  readonly onReady: (name: string) => void;
  readonly onDepths: (depths: readonly JobQueueDepth[]) => void;
  readonly onRunEnded: (run: JobRun) => void;
}

/** Looks for ready jobs between two readings of the queue's depth, and readings between two sweeps. */
const LOOKS_PER_READING = 10;
const READINGS_PER_SWEEP = 3;

/** Looks until it is stopped. */
export class QueueWatch {
  readonly #options: QueueWatchOptions;
  #looks = 0;
  #problem: StoreError | undefined;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: QueueWatchOptions) {
    this.#options = options;
  }

  /** Why the last look failed; undefined where it did not. */
  get problem(): StoreError | undefined {
    return this.#problem;
  }

  start(): void {
    if (this.#stopped) return;
    this.#looking = this.#look().finally(() => {
      if (!this.#stopped) this.#timer = setTimeout(() => this.start(), this.#options.wakeMs);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { scope, log, onReady, onDepths } = this.#options;
    const look = this.#looks++;
    try {
      for (const name of await readyJobs(scope)) onReady(name);
      if (look % LOOKS_PER_READING === 0) onDepths(await queueDepths(scope));
      if (look % (LOOKS_PER_READING * READINGS_PER_SWEEP) === 0) await this.#sweep();
      if (this.#problem !== undefined) log.info("The job queue is back.");
      this.#problem = undefined;
    } catch (error) {
      const problem = toStoreError(error);
      if (this.#problem === undefined && !this.#stopped) {
        log.warn({ err: problem }, "The job queue is away; jobs wait until it is back.");
      }
      this.#problem = problem;
    }
  }

  async #sweep(): Promise<void> {
    const { scope, silenceMs, log } = this.#options;
    for (const run of await abandonedRuns(scope, silenceMs)) {
      const error = "The process that ran it ended before the job did.";
      await completeLostRun(this.#options, run, run.wasCancelled ? "cancelled" : "failed", error);
      await endAttempt(scope, run);
      log.info({ job: run.jobId, run: run.runId }, "A run whose process ended was completed.");
    }
  }
}
