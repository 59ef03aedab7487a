/**
 * What a job is: a name, what it is asked for, and the work. The runner sees to the rest: one runner at a time, the
 * ledger, heartbeats, retries, cancelling, and going on from the last checkpoint after a crash.
 */
import type { z } from "zod";
import type { RunMode } from "../client/job-run.ts";
import type { Store } from "../client/open-store.ts";
import type { RunProgress } from "../client/run-input.ts";
import type { AdminScope } from "../database/tenants.ts";
import type { Logger } from "../telemetry/logger.ts";

/** What a job has to work with. Everything in it ends with the run. */
export interface JobContext<Input> {
  readonly jobId: string;
  /** From 1. */
  readonly attempt: number;
  readonly input: Input;
  /** Aborted when the job is cancelled, the service stops, or another runner has taken the job over. */
  readonly signal: AbortSignal;
  /** What an earlier attempt saved last; undefined where none did. JSON. */
  readonly checkpoint: unknown;
  /** Keeps where the job is, so that the next attempt goes on from here. JSON, at most 1 MB. */
  readonly saveCheckpoint: (checkpoint: unknown) => Promise<void>;
  /** Adds to the counts of the run, and says what the job is doing. Counts as a heartbeat. */
  readonly report: (progress: RunProgress & { readonly message?: string }) => Promise<void>;
  /** The store of a tenant (slug or UUID), closed by the runner when the run ends. */
  readonly openStore: (tenant: string) => Promise<Store>;
  /** The administration's functions, as mds_admin. */
  readonly admin: AdminScope;
  /** Direct connection for what only the owner may do. */
  readonly adminUrl: string;
  readonly log: Logger;
}

/** A kind of job. */
export interface JobDefinition<Schema extends z.ZodType = z.ZodType> {
  /** Lower-case words joined by hyphens; 1 to 64 characters. */
  readonly name: string;
  /** One sentence. */
  readonly description: string;
  /** What a job is asked for; a function that loads it spares a process that schema until somebody asks. */
  readonly schema: Schema | (() => Promise<Schema>);
  /** What the schema makes of `{}`, for a job with a schedule, whose schema then need not be loaded for that. */
  readonly defaults?: z.output<Schema>;
  readonly mode: RunMode;
  /** Whose ledger the runs are in: the tenant (slug or UUID) that the input names, else the system's. */
  tenantOf?(input: z.output<Schema>): string;
  /** The dataset that the ledger names. */
  datasetOf?(input: z.output<Schema>): string;
  /** Cron (five fields, UTC) at which it is run with the schema's defaults. */
  readonly schedule?: string;
  /** How often it is tried in all; 3 unless given. */
  readonly maxAttempts?: number;
  /** Refuses an input before the job is queued, for what can be told without doing the work. @throws StoreError */
  accept?(input: z.output<Schema>): void;
  /** The work; its JSON result is kept with the job. What it throws is tried again when it is retryable. */
  run(context: JobContext<z.output<Schema>>): Promise<unknown>;
}

/** The schema, loaded where it is not yet. */
export async function schemaOf<Schema extends z.ZodType>({
  schema,
}: Pick<JobDefinition<Schema>, "schema">): Promise<Schema> {
  return typeof schema === "function" ? await schema() : schema;
}

/** Says what a job is; the types of its input follow from its schema. */
export function defineJob<Schema extends z.ZodType>(definition: JobDefinition<Schema>): JobDefinition<Schema> {
  return definition;
}
