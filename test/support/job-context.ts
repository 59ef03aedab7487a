/** Runs a job without a queue: one attempt, with what it saves and reports kept for the test to look at. */
import type { z } from "zod";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { RunProgress } from "../../src/client/run-input.ts";
import { openPool } from "../../src/database/pool.ts";
import { type JobContext, type JobDefinition, schemaOf } from "../../src/jobs/define-job.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import type { TestDatabase } from "./test-database.ts";

export interface AttemptOptions {
  /** What an attempt before this one saved last. */
  readonly checkpoint?: unknown;
  readonly attempt?: number;
  readonly signal?: AbortSignal;
  /** Called after each checkpoint; an error thrown here ends the attempt as a crash would. */
  readonly onCheckpoint?: (checkpoint: unknown) => void | Promise<void>;
  readonly onReport?: (progress: RunProgress & { readonly message?: string }) => void | Promise<void>;
}

export interface Attempt {
  readonly result: unknown;
  /** What was thrown; undefined when the attempt succeeded. */
  readonly error: unknown;
  /** As the queue would keep it: JSON, the last one. */
  readonly checkpoint: unknown;
  readonly reports: readonly (RunProgress & { readonly message?: string })[];
}

/** The bound that the queue sets on a checkpoint, in bytes. */
const MAX_CHECKPOINT_BYTES = 1_048_576;

/** One attempt of a job. Never throws what the job threw. */
export async function attemptJob<Schema extends z.ZodType>(
  database: Pick<TestDatabase, "url" | "adminUrl">,
  definition: JobDefinition<Schema>,
  input: z.input<Schema>,
  options: AttemptOptions = {},
): Promise<Attempt> {
  const parsed = (await schemaOf(definition)).parse(input);
  const reports: Attempt["reports"][number][] = [];
  const stores: Store[] = [];
  let checkpoint = options.checkpoint;
  const pool = openPool({ url: database.url, applicationName: "job", maxConnections: 2, connectTimeoutMs: 5_000 });
  const context: JobContext<z.output<Schema>> = {
    jobId: "00000000-0000-4000-8000-000000000000",
    attempt: options.attempt ?? 1,
    input: parsed,
    signal: options.signal ?? new AbortController().signal,
    checkpoint: options.checkpoint,
    saveCheckpoint: async (value) => {
      const text = JSON.stringify(value);
      if (Buffer.byteLength(text) > MAX_CHECKPOINT_BYTES) throw new Error("The checkpoint is larger than a megabyte.");
      checkpoint = JSON.parse(text);
      await options.onCheckpoint?.(checkpoint);
    },
    report: async (progress) => {
      reports.push(progress);
      await options.onReport?.(progress);
    },
    openStore: async (tenant) => {
      const store = await openStore({ url: database.url, tenant });
      stores.push(store);
      return store;
    },
    admin: { pool, timeoutMs: 10_000 },
    adminUrl: database.adminUrl,
    log: createLogger({ level: "silent" }),
  };
  try {
    const result = JSON.parse(JSON.stringify((await definition.run(context)) ?? null));
    return { result, error: undefined, checkpoint, reports };
  } catch (error) {
    return { result: undefined, error, checkpoint, reports };
  } finally {
    await Promise.all(stores.map((store) => store.close()));
    await pool.end();
  }
}
