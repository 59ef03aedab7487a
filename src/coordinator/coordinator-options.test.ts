import { describe, expect, it } from "vitest";
import { loadConfig } from "../config/load.ts";
import { type CoordinatorTuning, coordinatorTuning, resolveTuning } from "./coordinator-options.ts";

const resolve = (tuning: CoordinatorTuning = {}, hasSpool = false) => resolveTuning({ ...tuning, hasSpool });
const fromEnvironment = (env: Record<string, string>) => resolve(coordinatorTuning(loadConfig({ env }).values));

describe("resolveTuning", () => {
  it("has the defaults of the settings", () => {
    expect(fromEnvironment({})).toEqual(resolve());
    expect(resolve()).toEqual({
      capacity: 32_000,
      workers: 4,
      batchRows: 2_000,
      flushIntervalMs: 250,
      watermarks: { high: 25_600, low: 16_000 },
      overflow: "block",
      retry: { maxAttempts: 5, initialMs: 50, maxMs: 2_000, multiplier: 2, jitter: true },
      breaker: { failuresToOpen: 5, halfOpenAfterMs: 60_000 },
    });
  });

  it("reads every setting", () => {
    const env = {
      MDS_COORDINATOR_CAPACITY: "1000",
      MDS_COORDINATOR_WORKERS: "2",
      MDS_COORDINATOR_BATCH_SIZE: "100",
      MDS_COORDINATOR_FLUSH_INTERVAL: "1.5",
      MDS_RETRY_MAX_ATTEMPTS: "7",
      MDS_RETRY_INITIAL_BACKOFF_MS: "10",
      MDS_RETRY_MAX_BACKOFF_MS: "20",
      MDS_RETRY_BACKOFF_MULTIPLIER: "1.5",
      MDS_RETRY_JITTER: "no",
      MDS_CB_FAILURE_THRESHOLD: "3",
      MDS_CB_HALF_OPEN_AFTER_SEC: "2.5",
    };
    expect(fromEnvironment(env)).toEqual({
      capacity: 1_000,
      workers: 2,
      batchRows: 100,
      flushIntervalMs: 1_500,
      watermarks: { high: 800, low: 500 },
      overflow: "block",
      retry: { maxAttempts: 7, initialMs: 10, maxMs: 20, multiplier: 1.5, jitter: false },
      breaker: { failuresToOpen: 3, halfOpenAfterMs: 2_500 },
    });
  });

  it("keeps room for four batches a worker: a small capacity makes small batches, large batches a large capacity", () => {
    expect(resolve({ capacity: 160 })).toMatchObject({ capacity: 160, batchRows: 10 });
    expect(resolve({ batchRows: 500 })).toMatchObject({ capacity: 10_000, batchRows: 500 });
    expect(resolve({ batchRows: 5_000 })).toMatchObject({ capacity: 80_000 });
    expect(() => resolve({ capacity: 100, batchRows: 10 })).toThrow(/batchRows is 10; here .* from 1 to 6/);
    expect(() => resolve({ capacity: 15 })).toThrow(/capacity is 15; here .* from 16/);
  });

  it.each([
    { workers: 0 },
    { workers: 65 },
    { flushIntervalMs: -1 },
    { highWatermark: 1.1 },
    { lowWatermark: 0.9 },
    { retry: { maxAttempts: 0 } },
    { breaker: { failuresToOpen: 1.5 } },
    { breaker: { halfOpenAfterMs: Number.NaN } },
  ])("refuses %o", (tuning) => {
    expect(() => resolve(tuning)).toThrow(/; (here )?it must be/);
  });

  it("refuses to drop what a spool promises to keep", () => {
    expect(() => resolve({ overflow: "drop_oldest" }, true)).toThrow(/drop_oldest/);
  });
});
