/** The jobs that every store has. docs/jobs.md lists them; a test compares. */
import type { BackfillAccess } from "./backfill/backfill-access.ts";
import { ingestFilesJob } from "./backfill/ingest-files-job.ts";
import { verifyCoverageJob } from "./backfill/verify-coverage-job.ts";
import { compressionJob } from "./compression-job.ts";
import type { JobDefinition } from "./define-job.ts";
import { deleteTenantJob } from "./delete-tenant-job.ts";
import { makePartitionsJob } from "./make-partitions-job.ts";
import { migrateJob } from "./migrate-job.ts";
import { pruneRuns } from "./prune-runs.ts";
import { rebuildAggregatesJob } from "./rebuild-aggregates-job.ts";
import { refreshAggregatesJob } from "./refresh-aggregates-job.ts";
import { retentionJob } from "./retention-job.ts";

/** All of them; `access` says what backfills may read, `onMigrated` is told how many migrations a job applied. */
export function builtInJobs(
  access: BackfillAccess,
  onMigrated: (migrations: number) => void = () => {},
): readonly JobDefinition[] {
  return [
    compressionJob,
    deleteTenantJob,
    ingestFilesJob(access),
    makePartitionsJob,
    migrateJob(onMigrated),
    pruneRuns,
    rebuildAggregatesJob,
    refreshAggregatesJob,
    retentionJob,
    verifyCoverageJob(access),
  ];
}
