/** What a coordinator can be told, with its defaults and the reasons for them; and how the settings say it. */
import type { Config } from "../config/settings.ts";
import type { DatasetName } from "../datasets/registry.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import type { FeedbackBus } from "../feedback/feedback-bus.ts";
import type { Clock } from "../resilience/clock.ts";
import type { Sink } from "../sinks/sink.ts";
import type { IngestMetrics } from "../telemetry/ingest-metrics.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { DeadLetters } from "./dead-letters/dead-letters-port.ts";
import type { RetryOptions } from "./delivery.ts";
import type { OverflowStrategy } from "./memory-intake.ts";
import type { SpoolLog } from "./spool/spool-log-port.ts";

/** What shapes a coordinator's work. */
export interface CoordinatorTuning {
  /** Rows that are held at most, from acceptance until each is stored or given up; 10,000 or 4 × workers × batch. */
  readonly capacity?: number | undefined;
  /** Batches that are written at the same time, each over a connection of its own; 4 unless given. */
  readonly workers?: number | undefined;
  /** Rows of a batch; 2,000 unless given, and less where the capacity is small. */
  readonly batchRows?: number | undefined;
  /** For so long a row waits for its batch to fill; 250 unless given. */
  readonly flushIntervalMs?: number | undefined;
  /** Part of the capacity from which on feedback is hard; 0.8 unless given. */
  readonly highWatermark?: number | undefined;
  /** Part of the capacity up to which feedback is ok; 0.5 unless given. */
  readonly lowWatermark?: number | undefined;
  /** What happens to rows for which there is no room; `block` unless given. */
  readonly overflow?: OverflowStrategy | undefined;
  readonly retry?: Partial<RetryOptions> | undefined;
  readonly breaker?: { readonly failuresToOpen?: number; readonly halfOpenAfterMs?: number } | undefined;
}

export interface CoordinatorOptions extends CoordinatorTuning {
  /** Names it in metrics and feedback; `store` unless given. One of a few: it is a label. */
  readonly id?: string | undefined;
  readonly sinks: Readonly<Partial<Record<DatasetName, Sink>>>;
  readonly deadLetters: DeadLetters;
  /** UUID of the tenant of rows that name none. */
  readonly tenantId?: string | undefined;
  /** Makes acceptance durable. Whoever opened it closes it, after `stop`. */
  readonly spool?: SpoolLog | undefined;
  readonly feedback?: FeedbackBus | undefined;
  readonly metrics?: IngestMetrics | undefined;
  readonly log?: Pick<Logger, "info" | "warn" | "error"> | undefined;
  /** Called once at the end of `stop`, for what belongs to the coordinator alone. */
  readonly onStopped?: (() => Promise<void>) | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
  /** For tests. */
  readonly random?: (() => number) | undefined;
}

/** Tuning with every value in place. */
export interface ResolvedTuning {
  readonly capacity: number;
  readonly workers: number;
  readonly batchRows: number;
  readonly flushIntervalMs: number;
  /** In rows. */
  readonly watermarks: { readonly low: number; readonly high: number };
  readonly overflow: OverflowStrategy;
  readonly retry: RetryOptions;
  readonly breaker: { readonly failuresToOpen: number; readonly halfOpenAfterMs: number };
}

const DEFAULT_CAPACITY = 10_000;
/** Two connections bring half as much again as one, four no more; the other two are there while a batch fails or waits. */
const DEFAULT_WORKERS = 4;
/** Measured; see docs/decisions/coordinator.md. */
const DEFAULT_BATCH_ROWS = 2_000;
const DEFAULT_FLUSH_INTERVAL_MS = 250;
const DEFAULT_RETRY: RetryOptions = { maxAttempts: 5, initialMs: 50, maxMs: 2_000, multiplier: 2, jitter: true };
const DEFAULT_BREAKER = { failuresToOpen: 5, halfOpenAfterMs: 60_000 };
/** A batch under way and one that fills up, for each worker, are half of this: no pressure while all is well. */
const BATCHES_PER_WORKER = 4;
const OVERFLOWS: readonly OverflowStrategy[] = ["block", "drop_oldest", "error"];
const MAX_CAPACITY = 10_000_000;
const MAX_WORKERS = 64;
/** What a statement takes at most; see client/upsert.ts. */
const MAX_BATCH_ROWS = 50_000;
const MAX_INTERVAL_MS = 3_600_000;

/** @throws StoreError `usage` for values that are out of their range or contradict each other. */
export function resolveTuning(options: CoordinatorTuning & { readonly hasSpool: boolean }): ResolvedTuning {
  const workers = whole("workers", options.workers ?? DEFAULT_WORKERS, 1, MAX_WORKERS);
  const { capacity, batchRows } = resolveSizes(options, workers);
  requireFields("retry", options.retry ?? {}, Object.keys(DEFAULT_RETRY));
  requireFields("breaker", options.breaker ?? {}, Object.keys(DEFAULT_BREAKER));
  const retry = { ...DEFAULT_RETRY, ...definedOf(options.retry) };
  const breaker = { ...DEFAULT_BREAKER, ...definedOf(options.breaker) };
  const { overflow = "block", highWatermark = 0.8, lowWatermark = 0.5 } = options;
  whole("retry.maxAttempts", retry.maxAttempts, 1, 1_000);
  whole("breaker.failuresToOpen", breaker.failuresToOpen, 1, 1_000_000);
  within("retry.initialMs", retry.initialMs, 0, MAX_INTERVAL_MS);
  within("retry.maxMs", retry.maxMs, 0, MAX_INTERVAL_MS);
  within("retry.multiplier", retry.multiplier, 1, 100);
  within("breaker.halfOpenAfterMs", breaker.halfOpenAfterMs, 0, MAX_INTERVAL_MS);
  within("highWatermark", highWatermark, 0, 1);
  within("lowWatermark", lowWatermark, 0, highWatermark);
  if (!OVERFLOWS.includes(overflow)) {
    throw new StoreError("usage", `overflow is ${showValue(overflow)}; it must be one of ${OVERFLOWS.join(", ")}.`);
  }
  if (overflow === "drop_oldest" && options.hasSpool) {
    throw new StoreError(
      "usage",
      "drop_oldest gives accepted rows up, and a spool promises to keep them; use block or error with a spool.",
    );
  }
  const high = Math.max(1, Math.ceil(capacity * highWatermark));
  return {
    capacity,
    workers,
    batchRows,
    flushIntervalMs: within(
      "flushIntervalMs",
      options.flushIntervalMs ?? DEFAULT_FLUSH_INTERVAL_MS,
      0,
      MAX_INTERVAL_MS,
    ),
    watermarks: { high, low: Math.min(high - 1, Math.floor(capacity * lowWatermark)) },
    overflow,
    retry,
    breaker,
  };
}

function resolveSizes(options: CoordinatorTuning, workers: number): { capacity: number; batchRows: number } {
  const batches = BATCHES_PER_WORKER * workers;
  if (options.capacity === undefined) {
    const batchRows = whole("batchRows", options.batchRows ?? DEFAULT_BATCH_ROWS, 1, MAX_BATCH_ROWS);
    return { capacity: Math.max(DEFAULT_CAPACITY, batches * batchRows), batchRows };
  }
  const capacity = whole("capacity", options.capacity, batches, MAX_CAPACITY);
  const most = Math.floor(capacity / batches);
  if (options.batchRows === undefined) return { capacity, batchRows: Math.min(DEFAULT_BATCH_ROWS, most) };
  return { capacity, batchRows: whole("batchRows", options.batchRows, 1, Math.min(most, MAX_BATCH_ROWS)) };
}

function whole(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new StoreError(
    "usage",
    `${name} is ${showValue(value)}; here it must be a whole number from ${min} to ${max}.`,
  );
}

function within(name: string, value: number, min: number, max: number): number {
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw new StoreError("usage", `${name} is ${showValue(value)}; it must be a number from ${min} to ${max}.`);
}

function definedOf<T extends object>(given: T | undefined): Partial<T> {
  return Object.fromEntries(Object.entries(given ?? {}).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** The part of a coordinator's options that is in the settings. */
export function coordinatorTuning(config: Config): CoordinatorTuning {
  return {
    capacity: config.coordinatorCapacity,
    workers: config.coordinatorWorkers,
    batchRows: config.coordinatorBatchSize,
    flushIntervalMs: config.coordinatorFlushIntervalSec * 1_000,
    retry: {
      maxAttempts: config.retryMaxAttempts,
      initialMs: config.retryInitialBackoffMs,
      maxMs: config.retryMaxBackoffMs,
      multiplier: config.retryBackoffMultiplier,
      jitter: config.retryJitter,
    },
    breaker: {
      failuresToOpen: config.breakerFailureThreshold,
      halfOpenAfterMs: config.breakerHalfOpenAfterSec * 1_000,
    },
  };
}
