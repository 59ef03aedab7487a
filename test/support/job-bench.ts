/** What a job is given, made by hand: reports go to a real run of the ledger, checkpoints are kept. */

import type { RunProgress } from "../../src/client/run-input.ts";
import { Runs } from "../../src/client/runs.ts";
import { openPool } from "../../src/database/pool.ts";
import type { JobContext, JobDefinition } from "../../src/jobs/define-job.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import type { TestDatabase } from "./test-database.ts";

export interface JobBench {
  readonly reports: (RunProgress & { readonly message?: string })[];
  /** The system's run that reports went to. */
  readonly runs: Runs;
  readonly runId: string;
  /** One attempt; the checkpoint of the one before is handed on. */
  readonly attempt: (input?: unknown, signal?: AbortSignal) => Promise<unknown>;
  close(): Promise<void>;
}

/** A place where one job is run, as often as a test likes. */
export async function benchForJob(database: TestDatabase, job: JobDefinition): Promise<JobBench> {
  const pool = openPool({ url: database.url, applicationName: "test", maxConnections: 2, connectTimeoutMs: 5_000 });
  const admin = { pool, timeoutMs: 10_000 };
  const runs = new Runs({ ...admin, role: "mds_admin" });
  const { run_id: runId } = await runs.start({ job_name: job.name, mode: job.mode });
  const reports: JobBench["reports"] = [];
  let checkpoint: unknown;
  let attempt = 0;
  const contextOf = (input: unknown, signal: AbortSignal): JobContext<unknown> => ({
    jobId: "00000000-0000-4000-8000-000000000001",
    attempt: ++attempt,
    input: job.schema.parse(input),
    signal,
    checkpoint,
    saveCheckpoint: async (next) => {
      checkpoint = JSON.parse(JSON.stringify(next));
    },
    report: async ({ message, ...progress }) => {
      reports.push({ ...progress, ...(message !== undefined && { message }) });
      await runs.progress(runId, progress);
    },
    openStore: () => Promise.reject(new TypeError("This job needs no tenant.")),
    admin,
    adminUrl: database.adminUrl,
    log: createLogger({ level: "silent" }),
  });
  return {
    reports,
    runs,
    runId,
    attempt: async (input = {}, signal = new AbortController().signal) => job.run(contextOf(input, signal)),
    close: () => pool.end(),
  };
}
