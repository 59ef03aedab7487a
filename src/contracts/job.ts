/**
 * A job as every wire shows it: what was asked for, how far it is, and what came of it. One definition; types, HTTP
 * answers and the control client are functions of it. Unknown fields are ignored by readers.
 */
import { z } from "zod";
import { JOB_STATES } from "./job-states.ts";

const time = z.string().describe("ISO 8601, UTC.");

const jobState = z
  .enum(JOB_STATES)
  .describe("queued and retrying wait for a runner; succeeded, failed and cancelled are final.");

/** How far a job is. Counts are of this job, over all its attempts. */
const jobProgress = z.object({
  rows_written: z.number().int().nonnegative(),
  rows_failed: z.number().int().nonnegative(),
  /** What it is doing, in one sentence. */
  message: z.string().nullable(),
});

/** Reads a job from a wire. */
export const job = z
  .object({
    id: z.uuid(),
    name: z.string(),
    state: jobState,
    tenant: z.string().nullable().describe("The tenant's id; null for the system's jobs."),
    input: z.unknown(),
    progress: jobProgress.nullable(),
    result: z.unknown().describe("What the job answered with; null until it has succeeded."),
    error: z
      .object({ code: z.string(), message: z.string() })
      .nullable()
      .describe("Why the last attempt failed, or the job was cancelled."),
    attempts: z.number().int().nonnegative(),
    max_attempts: z.number().int().positive(),
    run_id: z.uuid().nullable().describe("The ledger's record of the last attempt."),
    created_at: time,
    started_at: time.nullable(),
    completed_at: time.nullable(),
    heartbeat_at: time.nullable(),
  })
  .meta({ title: "store.Job" });

/** What a route answers when it has accepted a job. */
export const acceptedJob = z
  .object({
    status: z.literal("accepted"),
    job_id: z.uuid(),
    location: z.string().describe("Where the job can be followed."),
  })
  .meta({ title: "store.AcceptedJob" });

export type JobState = z.output<typeof jobState>;
export type JobProgress = z.output<typeof jobProgress>;
export type Job = z.output<typeof job>;
export type AcceptedJob = z.output<typeof acceptedJob>;
