/**
 * The job that brings aggregates up to date, every minute. It works out what was written, changed or deleted since; with
 * a start or an end everything between them, as the job that rebuilds does.
 */
import { refreshAggregates } from "../database/aggregates.ts";
import { defineJob } from "./define-job.ts";
import { rebuildInJob, reportStep } from "./rebuild-aggregates-job.ts";

/**
 * A coarse aggregate is made of finer ones, so changes always go through all of them: `aggregates` narrows only what is
 * worked out anew.
 */
export const refreshAggregatesJob = defineJob({
  name: "refresh-aggregates",
  description: "Brings aggregates up to date with what was written.",
  schema: async () => (await import("../control/job-inputs.ts")).refreshAggregatesInput,
  defaults: { dataset: "bars" },
  mode: "maintenance",
  datasetOf: ({ dataset }) => dataset,
  schedule: "* * * * *",
  run: (context) => {
    const { dataset, start, end } = context.input;
    if (start !== undefined || end !== undefined) return rebuildInJob(context);
    return refreshAggregates(context.admin, {
      dataset,
      signal: context.signal,
      onStep: (step) => reportStep(context, step),
    });
  },
});
