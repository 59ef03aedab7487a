/** Runs of the ledger for tests. */
import type { JobRun } from "../../src/client/job-run.ts";
import type { TestDatabase } from "./test-database.ts";

/** Moves what the database knows of a run into the past. */
export async function ageRun(database: TestDatabase, run: JobRun, minutes: number): Promise<void> {
  await database.sql(
    `update store.job_runs set started_at = started_at - $2 * interval '1 minute',
       heartbeat_at = heartbeat_at - $2 * interval '1 minute', completed_at = completed_at - $2 * interval '1 minute'
     where run_id = $1`,
    [run.run_id, minutes],
  );
}
