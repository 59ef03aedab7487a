/** A job queue in memory that runs nothing: jobs wait until they are cancelled or a test says how they ended. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Job } from "../../src/contracts/job.ts";
import * as inputs from "../../src/control/job-inputs.ts";
import { StoreError } from "../../src/errors/store-error.ts";
import { defineJob, type JobDefinition } from "../../src/jobs/define-job.ts";
import type { EnqueueOptions, JobFilter } from "../../src/jobs/job-queue.ts";
import { parseInput } from "../../src/jobs/parse-input.ts";
import type { ServiceJobs } from "../../src/service/start-jobs.ts";

const MAX_ATTEMPTS = 3;
const FINAL = ["succeeded", "failed", "cancelled"];

const job = (name: string, mode: JobDefinition["mode"], schema: z.ZodType): JobDefinition =>
  defineJob({ name, mode, schema, description: `Does ${name}.`, run: () => Promise.resolve(null) });

/** The built-in jobs, and one of a user's own. */
const DEFINITIONS: readonly JobDefinition[] = [
  job("migrate", "maintenance", inputs.migrateInput),
  job("retention", "maintenance", inputs.retentionInput),
  job("compression", "maintenance", inputs.retentionInput),
  job("refresh-aggregates", "maintenance", inputs.refreshAggregatesInput),
  job("delete-tenant", "maintenance", inputs.deleteTenantInput),
  job("ingest-files", "backfill", inputs.ingestFilesInput),
  job("rebuild-aggregates", "backfill", inputs.rebuildAggregatesInput),
  job("verify-coverage", "backfill", inputs.verifyCoverageInput),
  job("own-backfill", "backfill", z.strictObject({ days: z.number().int().min(1) })),
];

export class FakeJobQueue implements ServiceJobs {
  readonly definitions: ReadonlyMap<string, JobDefinition> = new Map(DEFINITIONS.map((one) => [one.name, one]));
  readonly #jobs = new Map<string, Job>();
  /** Whether jobs succeed as soon as they are made. */
  endsAtOnce = false;
  readonly problem = undefined;

  async start(): Promise<void> {}

  async stop(): Promise<void> {}

  async enqueue(name: string, input: unknown, { id = randomUUID() }: EnqueueOptions = {}): Promise<Job> {
    const known = this.#jobs.get(id);
    if (known !== undefined) return known;
    const definition = this.definitions.get(name) ?? fail("job_unknown", `There is no job ${name}.`);
    const parsed = await parseInput(definition, input);
    // Somebody else may have made it meanwhile.
    const made = this.#jobs.get(id);
    if (made !== undefined) return made;
    return this.#keep({
      id,
      name,
      state: this.endsAtOnce ? "succeeded" : "queued",
      tenant: null,
      input: parsed,
      progress: null,
      result: null,
      error: null,
      attempts: 0,
      max_attempts: MAX_ATTEMPTS,
      run_id: null,
      created_at: new Date().toISOString(),
      started_at: null,
      completed_at: null,
      heartbeat_at: null,
    });
  }

  async get(id: string): Promise<Job> {
    return this.#jobs.get(id) ?? fail("job_not_found", `There is no job ${id}.`);
  }

  async list({ name, state, limit = 100 }: JobFilter = {}): Promise<Job[]> {
    return [...this.#jobs.values()]
      .reverse()
      .filter((job) => (name === undefined || job.name === name) && (state === undefined || job.state === state))
      .slice(0, limit);
  }

  async cancel(id: string): Promise<Job> {
    const job = await this.get(id);
    if (FINAL.includes(job.state)) fail("job_finished", `Job ${id} is over.`);
    return this.#keep({ ...job, state: "cancelled", error: { code: "aborted", message: "It was cancelled." } });
  }

  async retry(id: string): Promise<Job> {
    const job = await this.get(id);
    if (job.state !== "failed" && job.state !== "cancelled") fail("job_not_failed", `Job ${id} has not failed.`);
    return this.#keep({ ...job, state: "queued", error: null });
  }

  /** What a runner would have made of it. */
  async end(id: string, outcome: Partial<Job>): Promise<void> {
    this.#keep({ ...(await this.get(id)), completed_at: new Date().toISOString(), ...outcome });
  }

  #keep(job: Job): Job {
    this.#jobs.set(job.id, job);
    return job;
  }
}

function fail(code: ConstructorParameters<typeof StoreError>[0], message: string): never {
  throw new StoreError(code, message);
}
