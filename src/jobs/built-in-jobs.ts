/** The jobs that every store has. docs/jobs.md lists them; a test compares. */
import type { BackfillAccess } from "./backfill/backfill-access.ts";
import { ingestFilesJob } from "./backfill/ingest-files-job.ts";
import type { JobDefinition } from "./define-job.ts";
import { pruneRuns } from "./prune-runs.ts";
import { rebuildAggregatesJob } from "./rebuild-aggregates-job.ts";
import { refreshAggregatesJob } from "./refresh-aggregates-job.ts";

/** With what the operator lets backfills read. */
export function builtInJobs(access: BackfillAccess): readonly JobDefinition[] {
  return [ingestFilesJob(access), pruneRuns, rebuildAggregatesJob, refreshAggregatesJob];
}
