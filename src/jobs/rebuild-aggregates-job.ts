/**
 * The job that works out a part of the history anew, or all of it, partition by partition. Another attempt goes on where
 * the one before was; what that one had marked and not worked out is worked out first.
 */
import type { z } from "zod";
import type { rebuildAggregatesInput } from "../control/job-inputs.ts";
import { type AggregateRefresh, rebuildAggregates } from "../database/aggregates.ts";
import { defineJob, type JobContext } from "./define-job.ts";

type RebuildContext = JobContext<z.output<typeof rebuildAggregatesInput>>;

export const rebuildAggregatesJob = defineJob({
  name: "rebuild-aggregates",
  description: "Works out aggregates anew from the stored bars.",
  schema: async () => (await import("../control/job-inputs.ts")).rebuildAggregatesInput,
  mode: "backfill",
  datasetOf: ({ dataset }) => dataset,
  run: (context) => rebuildInJob(context),
});

/** The work, for the job that refreshes too. */
export function rebuildInJob(context: RebuildContext): Promise<AggregateRefresh> {
  const { dataset, aggregates, start, end } = context.input;
  const saved = context.checkpoint as { readonly next_start?: unknown } | null | undefined;
  return rebuildAggregates(context.admin, {
    dataset,
    signal: context.signal,
    ...(aggregates && { aggregates }),
    ...(start !== undefined && { start }),
    ...(end !== undefined && { end }),
    ...(typeof saved?.next_start === "string" && { resumeAt: saved.next_start }),
    onStep: (step) => reportStep(context, step),
    onPartition: (nextStart) => context.saveCheckpoint({ next_start: nextStart }),
  });
}

/** Counts buckets as rows of the run. */
export function reportStep(context: Pick<RebuildContext, "report">, step: AggregateRefresh): Promise<void> {
  const counts = Object.entries(step.aggregates);
  const written = counts.reduce((total, [, { written: buckets }]) => total + buckets, 0);
  const parts = counts.map(([timeframe, { written: buckets }]) => `${timeframe} ${buckets}`);
  return context.report({ rows_written: written, message: `Wrote buckets: ${parts.join(", ")}.` });
}
