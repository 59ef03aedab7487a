/** Runs jobs of one's own in a process of one's own, beside the service's or without it. */
import { requirePostgresUrl } from "../client/postgres-url.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
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

const OPTIONS = fieldsOf<CreateJobRunnerOptions>({
  url: true,
  adminUrl: true,
  jobs: true,
  work: true,
  group: true,
  log: true,
});

/**
 * A runner that is to be started, and to be stopped when done. The database has to be migrated.
 *
 * @throws StoreError `usage` for a job's name that is not allowed or is there twice, and for other options that are wrong.
 */
export function createJobRunner(given: CreateJobRunnerOptions): JobRunner {
  requireFields("createJobRunner", given, OPTIONS);
  const { url, adminUrl = url, jobs, log, ...options } = given;
  requirePostgresUrl("url", url);
  requirePostgresUrl("adminUrl", adminUrl);
  if (!Array.isArray(jobs)) {
    throw new StoreError("usage", `jobs is ${showValue(jobs)}; it must be an array of what defineJob gives.`);
  }
  return new JobRunner({
    ...options,
    urls: async () => ({ url, adminUrl }),
    definitions: jobs,
    log: log ?? createLogger({ level: "silent" }),
  });
}
