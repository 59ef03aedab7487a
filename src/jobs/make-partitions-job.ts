/** The job that makes partitions ahead of the rows that will need them, so that writers rarely have to. */
import { type Partition, PERIODS_AHEAD } from "../database/engine/engine.ts";
import { openEngine } from "../database/engine/open-engine.ts";
import { defineJob } from "./define-job.ts";

export const makePartitionsJob = defineJob({
  name: "make-partitions",
  description: "Makes the partitions of the current and the next three periods of each dataset and aggregate.",
  schema: async () => (await import("../control/job-inputs.ts")).makePartitionsInput,
  defaults: {},
  mode: "maintenance",
  schedule: "5 0 * * *",
  async run(context): Promise<{ readonly made: readonly Partition[] }> {
    const { signal, adminUrl } = context;
    const engine = await openEngine(adminUrl, signal);
    const made = await engine.makePartitions({ periodsAhead: PERIODS_AHEAD, signal });
    await context.report({ message: `Made ${made.length} partitions.`, metadata: { made } });
    return { made };
  },
});
