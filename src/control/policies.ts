/**
 * Policies as a file and over HTTP: what is kept for how long, in partitions of which width. An omitted dataset or field
 * stays as it is; null keeps all rows, or compresses none. Which datasets and aggregates there are, only the database
 * knows.
 */
import { z } from "zod";
import { DURATION_ALLOWED, parseDuration } from "../contracts/duration.ts";

const duration = z
  .string()
  .refine((text) => parseDuration(text) !== undefined, { error: `It must be ${DURATION_ALLOWED}.` })
  .nullable();

const fields = {
  partition_width: z
    .string()
    .regex(/^(month|year|1 day|([2-9]|[1-9]\d{1,2}) days)$/, {
      error: 'It must be month or year, or days such as "7 days".',
    })
    .optional()
    .describe("Of partitions that are made from then on: month or year; on TimescaleDB days, such as 7 days."),
  compress_after: duration.optional().describe("From which age rows are compressed; null: never."),
  keep_for: duration.optional().describe("From which age rows are dropped, with their whole partition; null: never."),
};

const aggregatePolicy = z.strictObject({
  ...fields,
  enabled: z.boolean().optional().describe("Whether the aggregate is kept up to date."),
});

const datasetPolicy = z.strictObject({
  ...fields,
  aggregates: z.record(z.string().min(1).max(16), aggregatePolicy).optional().describe("By timeframe, for example 5m."),
});

/** Wanted policies by dataset. */
export const policiesInput = z
  .record(z.string().min(1).max(64), datasetPolicy)
  .meta({ title: "store.Policies", description: "Wanted policies by dataset." });
