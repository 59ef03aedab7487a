/** The jobs that every store has. docs/jobs.md lists them; a test compares. */
import type { JobDefinition } from "./define-job.ts";
import { pruneRuns } from "./prune-runs.ts";

export const BUILT_IN_JOBS: readonly JobDefinition[] = [pruneRuns];
