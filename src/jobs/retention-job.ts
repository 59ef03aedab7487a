/**
 * The job that drops what policies no longer keep. A dry run only lists it.
 * What was dropped is told to the ledger partition by partition, with rows and span, as soon as it is gone; an attempt
 * after a crash goes on with the same plan, so that the outcome is that of one attempt.
 */
import type { DroppedPartition, RetentionPlan } from "../database/engine/engine.ts";
import { openEngine } from "../database/engine/open-engine.ts";
import type { JsonObject } from "../datasets/dataset.ts";
import { defineJob } from "./define-job.ts";

/** What the job answers with. */
export interface RetentionResult {
  readonly dry_run: boolean;
  /** What was to be dropped when the job began; with rows in a dry run. */
  readonly plan: RetentionPlan;
  readonly dropped: readonly DroppedPartition[];
  readonly rows_dropped: number;
}

export const retentionJob = defineJob({
  name: "retention",
  description: "Drops the partitions that the policies no longer keep.",
  schema: async () => (await import("../control/job-inputs.ts")).retentionInput,
  defaults: { dry_run: false },
  mode: "maintenance",
  schedule: "15 1 * * *",
  async run(context): Promise<RetentionResult> {
    const { input, signal, adminUrl, checkpoint } = context;
    const { datasets, dry_run } = input;
    const engine = await openEngine(adminUrl, signal);
    if (dry_run) {
      const plan = await engine.planRetention({ datasets, signal });
      await context.report({ message: planText(plan), metadata: asMetadata({ dry_run, planned: plan.partitions }) });
      return { dry_run, plan, dropped: [], rows_dropped: 0 };
    }
    const plan =
      (checkpoint as RetentionPlan | undefined) ?? (await engine.planRetention({ datasets, signal, countRows: false }));
    await context.saveCheckpoint(plan);
    await context.report({ message: planText(plan), metadata: asMetadata({ planned: plan.partitions }) });
    const dropped: DroppedPartition[] = [];
    await engine.applyRetention(plan, {
      signal,
      onDropped: async (one) => {
        dropped.push(one);
        const { first_time, last_time } = one;
        await context.report({
          message: `Dropped ${one.partition} with ${one.rows} rows.`,
          ...(first_time !== null && { min_ts: first_time }),
          ...(last_time !== null && { max_ts: last_time }),
          metadata: asMetadata({ dropped, rows_dropped: rowsOf(dropped) }),
        });
      },
    });
    return { dry_run, plan, dropped, rows_dropped: rowsOf(dropped) };
  },
});

function planText({ partitions, more }: RetentionPlan): string {
  const rest = more === 0 ? "" : `, and ${more} more the next time`;
  return partitions.length === 0
    ? "Nothing is older than the policies keep."
    : `${partitions.length} partitions are older than the policies keep${rest}.`;
}

function rowsOf(dropped: readonly DroppedPartition[]): number {
  return dropped.reduce((sum, { rows }) => sum + rows, 0);
}

/** A copy: the list goes on growing. */
function asMetadata(facts: object): JsonObject {
  return structuredClone(facts) as JsonObject;
}
