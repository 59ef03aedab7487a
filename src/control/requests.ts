/** What the admin API takes in paths and queries, and what it answers about jobs beside a job itself. */
import { z } from "zod";
import { acceptedJob, job } from "../contracts/job.ts";
import { JOB_STATES } from "../contracts/job-states.ts";

const tenantName = z.string().min(1).max(64).describe("The tenant's slug or UUID.");

export const jobPath = z.object({ id: z.uuid().describe("The job's id.") });
export const backfillPath = z.object({ job: z.string().min(1).max(64).describe("Name of a backfill.") });
export const tenantPath = z.object({ tenant: tenantName });
export const tokenPath = z.object({ tenant: tenantName, id: z.uuid().describe("The token's id.") });

export const readyQuery = z.object({
  for: z.enum(["ingest"]).optional().describe("What is to be sent here; requests of all kinds unless given."),
});

/** More than a screen of jobs and less than a large answer. */
const DEFAULT_JOBS = 100;

export const jobQuery = z.strictObject({
  name: z.string().min(1).max(64).optional().describe("Only jobs of this name."),
  state: z.enum(JOB_STATES).optional().describe("Only jobs in this state."),
  limit: z.coerce.number().int().min(1).max(1_000).default(DEFAULT_JOBS).describe("At most so many, the newest first."),
});

export const policyQuery = z.strictObject({
  dry_run: z.enum(["true", "false"]).default("false").describe("Whether only to tell what would change."),
});

const policy = z.object({
  dataset: z.string().describe("The dataset, or an aggregate's own name, such as bars_5m."),
  source: z.string().nullable().describe("Of an aggregate: what it is made of."),
  timeframe: z.string().nullable().describe("Of an aggregate."),
  partition_width: z.string().describe("month or year; on TimescaleDB days, such as 7 days."),
  compress_after: z.string().nullable(),
  keep_for: z.string().nullable(),
  enabled: z.boolean(),
  updated_at: z.string().describe("ISO 8601, UTC."),
});
const policyValue = z.union([z.string(), z.boolean()]).nullable();

export const policyList = z.object({ policies: z.array(policy) });
export const policyChanges = z.object({
  changes: z.array(z.object({ dataset: z.string(), field: z.string(), before: policyValue, after: policyValue })),
});

export const jobList = z.object({ jobs: z.array(job) });

export const acceptedJobs = acceptedJob.extend({
  jobs: z
    .array(z.object({ job_id: z.uuid(), name: z.string(), location: z.string() }))
    .describe("All jobs of this request; `job_id` and `location` are those of the first."),
});

export type PolicyRecord = z.output<typeof policy>;
export type PolicyChangeRecord = z.output<typeof policyChanges>["changes"][number];
export type AcceptedJobs = z.output<typeof acceptedJobs>;
