/** A backfill for tests: stores one bar a step, saves where it is after each, and goes on from there. */
import { z } from "zod";
import { defineJob } from "../../src/jobs/define-job.ts";

const input = z.strictObject({ tenant: z.string(), steps: z.number().int() });

/** `afterStep` is waited for; the number of steps is its argument. */
export function countingJob(afterStep: (step: number) => Promise<void>) {
  return defineJob({
    name: "counting",
    description: "Stores one bar a step.",
    schema: input,
    mode: "backfill",
    tenantOf: ({ tenant }) => tenant,
    datasetOf: () => "bars",
    async run({ input: { tenant, steps }, checkpoint, saveCheckpoint, report, openStore, attempt }) {
      const store = await openStore(tenant);
      const first = (checkpoint as number | undefined) ?? 0;
      for (let step = first + 1; step <= steps; step++) {
        const prices = { open_price: step, high_price: step, low_price: step, close_price: step, volume: 1 };
        const ts = `2024-01-${String(step).padStart(2, "0")}T00:00:00Z`;
        await store.bars.upsert([{ vendor: "v", symbol: "COUNT", timeframe: "1d", ts, ...prices }]);
        await report({ rows_written: 1, message: `Step ${step}.` });
        await saveCheckpoint(step);
        await afterStep(step);
      }
      return { first, attempt };
    },
  });
}
