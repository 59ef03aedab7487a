/**
 * Starts the job runner of the service. It is tried again for as long as it takes, with growing waits; what needs a
 * person is told once and tried again all the same, since the person may mend it. The service is ready without it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "../errors/store-error.ts";
import type { JobQueue } from "../jobs/job-queue.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { HealthProbe } from "./health-monitor.ts";

/** What the service needs of a job runner. */
export interface ServiceJobs extends JobQueue {
  /** What keeps it from its work; undefined while all is well. */
  readonly problem: StoreError | undefined;
  start(): Promise<void>;
  stop(options: { readonly timeoutMs: number }): Promise<void>;
}

const FIRST_WAIT_MS = 250;
/** Jobs can wait; a database that recovers should not be disturbed. */
const LONGEST_WAIT_MS = 5_000;

/** Ends when the runner has started, or the signal is aborted; never throws. */
export async function startJobs(jobs: ServiceJobs, log: Logger, signal: AbortSignal): Promise<void> {
  let told: string | undefined;
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      await jobs.start();
      if (told !== undefined) log.info("The job runner has started.");
      return;
    } catch (err) {
      const code = err instanceof StoreError ? err.code : "internal";
      if (code !== told) log.warn({ err }, "The job runner cannot start yet; it is tried again.");
      told = code;
      const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 16));
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Degraded while jobs cannot be run or accepted. */
export function jobsProbe(jobs: Pick<ServiceJobs, "problem">): HealthProbe {
  return {
    name: "jobs",
    neededForReady: false,
    async check() {
      if (jobs.problem === undefined) return { state: "healthy" };
      return { state: "degraded", details: { code: jobs.problem.code } };
    },
  };
}
