/**
 * Opens what rows go through on their way from a request to the database: spool, dead letters, sinks over one pool for
 * all tenants, and the coordinator, which begins with what the spool holds from before.
 */
import { type CoordinatorTuning, resolveTuning } from "../coordinator/coordinator-options.ts";
import { DeadLetterWriter } from "../coordinator/dead-letters/dead-letter-writer.ts";
import { openSpool } from "../coordinator/spool/open-spool.ts";
import type { SpoolLog } from "../coordinator/spool/spool-log-port.ts";
import { WriteCoordinator } from "../coordinator/write-coordinator.ts";
import { openPool, type Pool } from "../database/pool.ts";
import { DATASET_NAMES, type DatasetName } from "../datasets/registry.ts";
import type { FeedbackBus } from "../feedback/feedback-bus.ts";
import type { Clock } from "../resilience/clock.ts";
import { startOptimizing } from "../resilience/optimizing-compilers.ts";
import { createSinks, type DatasetSinks } from "../sinks/open-sinks.ts";
import type { Sink } from "../sinks/sink.ts";
import type { IngestMetrics } from "../telemetry/ingest-metrics.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import type { SpoolMetrics } from "../telemetry/spool-metrics.ts";

export interface IngestOptions {
  /** Where the database is, with the service's login; once it is known. */
  readonly url: () => Promise<string>;
  readonly tuning: CoordinatorTuning;
  readonly spool: { readonly folder: string; readonly maxBytes: number };
  readonly deadLetterDir: string;
  readonly feedback: FeedbackBus | undefined;
  /** Called when the coordinator has stopped, and what it told last was delivered. */
  readonly onStopped: () => void;
  readonly log: Logger;
  readonly metrics: StoreMetrics;
  readonly ingestMetrics: IngestMetrics;
  readonly spoolMetrics: SpoolMetrics;
  /** For tests. */
  readonly clock?: Clock | undefined;
}

export interface OpenIngest {
  readonly coordinator: WriteCoordinator;
  readonly spool: SpoolLog;
  /** Ends the coordinator, at most `drainMs` after what it does then, and closes everything. Never throws. */
  stop(drainMs: number): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** Of one transaction, as in the library. */
const TRANSACTION_TIMEOUT_MS = 30_000;

/** @throws StoreError `spool_unavailable`, `spool_in_use`; `usage` for a tuning that contradicts itself. */
export async function openIngest(options: IngestOptions): Promise<OpenIngest> {
  const { tuning, log, feedback, ingestMetrics: metrics, spoolMetrics } = options;
  const { workers, batchRows } = resolveTuning({ ...tuning, hasSpool: true });
  const spool = await openSpool({ ...options.spool, log });
  const deadLetters = new DeadLetterWriter({
    folder: options.deadLetterDir,
    onKept: (letters) => spoolMetrics.countDeadLetters(letters),
  });
  const sinks = new LateSinks(options, { workers, batchRows });
  const coordinator = new WriteCoordinator({
    ...tuning,
    sinks: sinks.all,
    deadLetters,
    spool,
    feedback,
    metrics,
    log,
    clock: options.clock,
  });
  if (spool.depth > 0)
    log.info({ rows: spool.depth }, "The spool holds accepted rows from before; they are stored now.");
  const stop = async (drainMs: number): Promise<void> => {
    const { inSpool } = await coordinator.stop({ timeoutMs: drainMs });
    if (inSpool > 0) log.warn({ rows: inSpool }, "Accepted rows stay in the spool; the next start stores them.");
    await Promise.allSettled([spool.close(), deadLetters.close(), sinks.close()]);
  };
  return { coordinator, spool, stop };
}

/** Sinks whose pool is opened at the first write: an embedded database is known only when it has started. */
class LateSinks {
  readonly all: DatasetSinks;
  readonly #options: IngestOptions;
  readonly #sizes: { readonly workers: number; readonly batchRows: number };
  #pool: Pool | undefined;
  #sinks: Promise<DatasetSinks> | undefined;

  constructor(options: IngestOptions, sizes: { readonly workers: number; readonly batchRows: number }) {
    this.#options = options;
    this.#sizes = sizes;
    const sink = (name: DatasetName): Sink => ({
      name,
      write: async (batch, signal) => (await this.#open())[name].write(batch, signal),
    });
    this.all = Object.fromEntries(DATASET_NAMES.map((name) => [name, sink(name)])) as unknown as DatasetSinks;
  }

  async close(): Promise<void> {
    await this.#pool?.end();
  }

  #open(): Promise<DatasetSinks> {
    this.#sinks ??= this.#openNow().catch((error: unknown) => {
      this.#sinks = undefined;
      throw error;
    });
    return this.#sinks;
  }

  async #openNow(): Promise<DatasetSinks> {
    const { url, log, ingestMetrics, metrics } = this.#options;
    startOptimizing();
    this.#pool = openPool({
      url: await url(),
      applicationName: "mds serve ingest",
      maxConnections: this.#sizes.workers,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      onIdleError: (error) => log.debug({ reason: error.message }, "An idle connection of ingestion broke."),
    });
    return createSinks(
      { pool: this.#pool, role: "mds_app", timeoutMs: TRANSACTION_TIMEOUT_MS },
      { batchRows: this.#sizes.batchRows, metrics: ingestMetrics, storeMetrics: metrics },
    );
  }
}
