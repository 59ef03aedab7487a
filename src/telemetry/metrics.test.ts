import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { StoreMetrics } from "./metrics.ts";

describe("StoreMetrics", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
  afterEach(() => void vi.useRealTimers());

  it("R30 shows everything that moves in one registry", async () => {
    const metrics = new StoreMetrics();
    metrics.watchPool(() => ({ inUse: 3, idle: 2, waiting: 1 }));
    metrics.setUp(true);
    metrics.countRequest("GET", "/health", 200, 0.002);
    metrics.countMigrations(2);
    metrics.countRows("bars", "inserted", 500);
    const run = { job_name: "load", provider: null, mode: "live", status: "failed" };
    metrics.countRun({ ...run, elapsed_us: 1_500_000n });
    const text = await metrics.render();
    for (const line of [
      "store_up 1",
      'http_requests_total{method="GET",endpoint="/health",status="200"} 1',
      'http_request_duration_seconds_count{method="GET",endpoint="/health"} 1',
      "migrations_applied_total 2",
      'mds_rows_written_total{dataset="bars",result="inserted"} 500',
      'store_job_runs_total{job_name="load",provider="",mode="live",status="failed"} 1',
      'store_job_runs_duration_seconds_sum{job_name="load",provider="",mode="live",status="failed"} 1.5',
      'store_job_runs_duration_seconds_bucket{le="1",job_name="load",provider="",mode="live",status="failed"} 0',
      "mds_database_pool_in_use 3",
      "mds_database_pool_idle 2",
      "mds_database_pool_waiting 1",
    ]) {
      expect(text.split("\n")).toContain(line);
    }
  });

  it("R30 keeps two sets apart", async () => {
    const [one, other] = [new StoreMetrics(), new StoreMetrics()];
    one.countMigrations(1);
    expect(await other.render()).toContain("migrations_applied_total 0");
  });

  it("shows the process and its event loop when asked to", async () => {
    const metrics = new StoreMetrics();
    metrics.watchProcess();
    const text = await metrics.render();
    expect(text).toContain("process_resident_memory_bytes ");
    expect(text).toContain("nodejs_eventloop_lag_seconds ");
  });

  it("renders once a second however often it is asked", async () => {
    const metrics = new StoreMetrics();
    const counts = vi.fn(() => ({ inUse: 0, idle: 0, waiting: 0 }));
    metrics.watchPool(counts);
    await Promise.all([metrics.render(), metrics.render()]);
    vi.advanceTimersByTime(999);
    await metrics.render();
    expect(counts).toHaveBeenCalledTimes(3);
    vi.advanceTimersByTime(1);
    await metrics.render();
    expect(counts).toHaveBeenCalledTimes(6);
  });

  it("shows a change of store_up at once", async () => {
    const metrics = new StoreMetrics();
    expect(await metrics.render()).toMatch(/^store_up 0$/m);
    metrics.setUp(true);
    expect(await metrics.render()).toMatch(/^store_up 1$/m);
  });

  it("knows whether it renders", async () => {
    const metrics = new StoreMetrics();
    const counts = vi.fn(() => ({ inUse: 0, idle: 0, waiting: 0 }));
    metrics.watchPool(counts);
    expect(metrics.lastRender).toBe("none");
    counts.mockImplementation(() => expect.unreachable("no counts"));
    await expect(metrics.render()).rejects.toThrow("no counts");
    expect(metrics.lastRender).toBe("failed");
    counts.mockReset().mockReturnValue({ inUse: 0, idle: 0, waiting: 0 });
    vi.advanceTimersByTime(1_000);
    await metrics.render();
    expect(metrics.lastRender).toBe("ok");
  });
});
