/**
 * What the built-in jobs are asked for: one schema for the HTTP routes, the typed client, the command and the jobs
 * themselves. Names that only the database knows (datasets, tenants) are text here; the job checks them when it is
 * accepted.
 */
import { z } from "zod";

const instant = z.iso.datetime({ offset: true }).describe("ISO 8601 with a zone.");
const dataset = z.string().min(1).max(64);
const tenant = z.string().min(1).max(64).describe("Slug or UUID.");
/** What finished runs are kept for. */
const DEFAULT_DAYS = 90;
const MAX_DAYS = 36_500;

const noInput = z.strictObject({});

export const pruneRunsInput = z.strictObject({ days: z.number().int().min(1).max(MAX_DAYS).default(DEFAULT_DAYS) });

export const migrateInput = noInput;
export const makePartitionsInput = noInput;

export const retentionInput = z.strictObject({
  datasets: z.array(dataset).min(1).max(100).optional().describe("All that have a policy unless given."),
  dry_run: z.boolean().default(false).describe("Only lists what would be dropped."),
});

export const refreshAggregatesInput = z.strictObject({
  dataset: dataset.default("bars"),
  aggregates: z
    .array(z.string().min(1).max(16))
    .min(1)
    .max(16)
    .optional()
    .describe("Timeframes; all of the policy unless given."),
  start: instant.optional().describe("Everything from here on is worked out anew; only what has changed unless given."),
  end: instant.optional(),
});

export const rebuildAggregatesInput = z.strictObject({
  dataset: dataset.default("bars"),
  aggregates: z.array(z.string().min(1).max(16)).min(1).max(16).optional(),
  start: instant.optional(),
  end: instant.optional(),
});

export const ingestFilesInput = z.strictObject({
  tenant: tenant.default("default"),
  dataset,
  files: z
    .array(z.string().min(1).max(4_096))
    .min(1)
    .max(10_000)
    .describe("Paths, patterns, or http(s) URLs of CSV or NDJSON, plain or compressed."),
  format: z.string().min(1).max(32).optional().describe("A known shape by name, e.g. alpaca."),
  map: z.record(z.string(), z.string()).optional().describe("Field of the dataset to column of the file."),
  set: z.record(z.string(), z.string()).optional().describe("Values for fields that the file lacks."),
  ignore_columns: z.array(z.string().max(256)).max(1_000).optional().describe("Columns of the file to leave out."),
  timezone: z.string().min(1).max(64).optional().describe("Zone of times that name none."),
  upper_case: z.boolean().default(false),
  credentials: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{0,63}$/)
    .optional()
    .describe("Name of a setting MDS_BACKFILL_CREDENTIAL_… with a bearer token for the URLs; never the token itself."),
});

const timeOfDay = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$/);

export const verifyCoverageInput = z.strictObject({
  tenant: tenant.default("default"),
  vendor: z.string().min(1).max(64).optional(),
  symbols: z
    .array(z.string().min(1).max(64))
    .min(1)
    .max(10_000)
    .optional()
    .describe("All that the tenant has unless given; one that it does not have is reported as missing."),
  timeframe: z.string().min(1).max(16),
  start: instant,
  end: instant.describe("ISO 8601 with a zone; bars that start before it are expected."),
  calendar: z
    .strictObject({
      kind: z.enum(["always", "weekly"]).describe("Around the clock, or sessions that repeat every week."),
      timezone: z.string().min(1).max(64).default("UTC").describe("Zone of sessions and holidays."),
      sessions: z
        .array(
          z.strictObject({
            days: z.array(z.number().int().min(1).max(7)).min(1),
            open: timeOfDay,
            close: timeOfDay,
          }),
        )
        .min(1)
        .max(50)
        .optional()
        .describe("Days are 1 (Monday) to 7; one that closes no later than it opens ends on the next day."),
      align: z
        .enum(["utc", "local", "session"])
        .default("utc")
        .describe("From where bars are counted: midnight in UTC, midnight in the time zone, or the session's open."),
      holidays_file: z.string().min(1).max(4_096).optional().describe("One date (YYYY-MM-DD) a line."),
    })
    .default({ kind: "always", timezone: "UTC", align: "utc" }),
});

export const deleteTenantInput = z.strictObject({ tenant });

export type IngestFilesInput = z.output<typeof ingestFilesInput>;
export type VerifyCoverageInput = z.output<typeof verifyCoverageInput>;
