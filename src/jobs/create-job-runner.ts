/** Runs jobs of one's own in a process of one's own, beside the service's or without it. */
import { createLogger, type Logger } from "../telemetry/logger.ts";
import type { JobDefinition } from "./define-job.ts";
import { JobRunner } from "./runner.ts";

export interface CreateJobRunnerOptions {
  /** The service's login, as DATABASE_URL. */
  readonly url: string;
  /** Direct connection of the login that migrates, as ADMIN_DATABASE_URL; `url` unless given. */
  readonly adminUrl?: string;
  readonly jobs: readonly JobDefinition[];
  /** Which of them this process runs: all unless given; with `false` it only accepts and changes jobs. */
  readonly work?: boolean | readonly string[];
  /**
   * Names the processes that have the same jobs, `jobs` unless given. At a start, schedules of the group that no job of
   * it has are removed, so processes with different jobs need different groups.
   */
  readonly group?: string;
  /** Where it says what it does; nowhere unless given. */
  readonly log?: Logger;
}

/**
 * A runner that is to be started, and to be stopped when done. The database has to be migrated.
 *
 * @throws StoreError `usage` for a job's name that is not allowed or is there twice.
 */
export function createJobRunner({ url, adminUrl = url, jobs, log, ...options }: CreateJobRunnerOptions): JobRunner {
  return new JobRunner({
    ...options,
    urls: async () => ({ url, adminUrl }),
    definitions: jobs,
    log: log ?? createLogger({ level: "silent" }),
  });
}
