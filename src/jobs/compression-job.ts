/** The job that compresses what the policies want compressed; on an engine that cannot, it says so and succeeds. */
import type { Capability, CompressionReport } from "../database/engine/engine.ts";
import { openEngine } from "../database/engine/open-engine.ts";
import { defineJob } from "./define-job.ts";

/** What the job answers with. */
export interface CompressionResult extends CompressionReport {
  readonly dry_run: boolean;
  /** How the database's engine compresses, or why it does not. */
  readonly capability: Capability;
}

export const compressionJob = defineJob({
  name: "compression",
  description: "Compresses what the policies want compressed.",
  schema: async () => (await import("../control/job-inputs.ts")).retentionInput,
  defaults: { dry_run: false },
  mode: "maintenance",
  schedule: "45 1 * * *",
  async run(context): Promise<CompressionResult> {
    const { input, signal, adminUrl } = context;
    const { datasets, dry_run } = input;
    const engine = await openEngine(adminUrl, signal);
    const capability = engine.capabilities.compression;
    const done = await engine.compress({ datasets, signal, isDryRun: dry_run });
    const count = done.compressed.length;
    const told = dry_run ? `Would compress ${count} partitions.` : `Compressed ${count} partitions.`;
    const message = capability.able ? told : capability.reason;
    await context.report({ message, metadata: { compressed: done.compressed, skipped: done.skipped } });
    return { dry_run, capability, ...done };
  },
});
