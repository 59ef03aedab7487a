import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { healthStatus } from "../contracts/health-status.ts";
import { StoreError } from "../errors/store-error.ts";
import { type ComponentReport, HealthMonitor, type HealthProbe, type HealthSnapshot } from "./health-monitor.ts";

type Answer = ComponentReport | StoreError | "silent";

class FakeProbe implements HealthProbe {
  readonly name: string;
  readonly neededForReady: boolean;
  answer: Answer = { state: "healthy" };
  checks = 0;

  constructor(name: string, neededForReady = true) {
    this.name = name;
    this.neededForReady = neededForReady;
  }

  async check(): Promise<ComponentReport> {
    this.checks++;
    if (this.answer === "silent") return new Promise(() => {});
    if (this.answer instanceof StoreError) throw this.answer;
    return this.answer;
  }
}

const database = () => new FakeProbe("database");
const unavailable = () => new StoreError("database_unavailable", "connect ECONNREFUSED 10.0.0.7:5432");

function monitorOf(...probes: HealthProbe[]) {
  const changes: HealthSnapshot[] = [];
  const monitor = new HealthMonitor({ version: "1.2.3", probes, onChange: (snapshot) => void changes.push(snapshot) });
  return { monitor, changes };
}

describe("HealthMonitor", () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_697_654_321_123 }));
  afterEach(() => void vi.useRealTimers());

  it("is degraded and not ready before the first check", () => {
    const { monitor } = monitorOf(database());
    expect(monitor.current.ready).toBe(false);
    expect(monitor.current.status.state).toBe("degraded");
  });

  it("reports a HealthStatus that keeps the contract", async () => {
    const { monitor } = monitorOf(database(), new FakeProbe("prometheus", false));
    await monitor.refresh();
    const status = {
      service: "market-data-store",
      state: "healthy",
      components: [
        { name: "database", state: "healthy" },
        { name: "prometheus", state: "healthy" },
      ],
      version: "1.2.3",
      ts: 1_697_654_321.123,
    };
    expect(monitor.current.status).toEqual(status);
    expect(healthStatus.parse(JSON.parse(monitor.current.body))).toEqual(status);
    expect(monitor.current.ready).toBe(true);
  });

  it.each([
    [["healthy", "degraded", "healthy"], "degraded"],
    [["degraded", "unhealthy", "healthy"], "unhealthy"],
    [["healthy", "healthy", "healthy"], "healthy"],
  ] as const)("of %j is %s", async (states, worst) => {
    const probes = states.map((state, index) => Object.assign(new FakeProbe(`c${index}`), { answer: { state } }));
    const { monitor } = monitorOf(...probes);
    await monitor.refresh();
    expect(monitor.current.status.state).toBe(worst);
  });

  it("is ready although a component that is not needed for it is degraded", async () => {
    const prometheus = new FakeProbe("prometheus", false);
    prometheus.answer = { state: "degraded" };
    const { monitor } = monitorOf(database(), prometheus);
    await monitor.refresh();
    expect(monitor.current).toMatchObject({ ready: true, status: { state: "degraded" } });
  });

  it("names the code of what failed, but no address", async () => {
    const probe = database();
    probe.answer = unavailable();
    const { monitor } = monitorOf(probe);
    await monitor.refresh();
    expect(monitor.current.status.components).toEqual([
      { name: "database", state: "degraded", details: { code: "database_unavailable" } },
    ]);
    expect(monitor.current.body).not.toContain("10.0.0.7");
  });

  it("checks every second by itself, and tells a change once", async () => {
    const probe = database();
    const { monitor, changes } = monitorOf(probe);
    monitor.start();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(probe.checks).toBe(11);
    expect(changes.map(({ ready }) => ready)).toEqual([true]);
    probe.answer = unavailable();
    await vi.advanceTimersByTimeAsync(10_000);
    probe.answer = { state: "healthy" };
    await vi.advanceTimersByTimeAsync(10_000);
    expect(changes.map(({ ready }) => ready)).toEqual([true, false, true]);
    await monitor.stop();
  });

  it("is never more than 2 s old, also while a component is silent", async () => {
    const probe = database();
    probe.answer = "silent";
    const { monitor } = monitorOf(probe);
    monitor.start();
    await vi.advanceTimersByTimeAsync(800);
    expect(monitor.current.status.components[0]).toMatchObject({ details: { code: "deadline_exceeded" } });
    for (let elapsedMs = 0; elapsedMs < 5_000; elapsedMs += 100) {
      expect(Date.now() / 1_000 - monitor.current.status.ts).toBeLessThanOrEqual(2);
      await vi.advanceTimersByTimeAsync(100);
    }
    const stopped = monitor.stop();
    await vi.advanceTimersByTimeAsync(800);
    await stopped;
  });

  it("R29 asks no component when it is asked", async () => {
    const probe = database();
    const { monitor } = monitorOf(probe);
    await monitor.refresh();
    for (let request = 0; request < 10_000; request++) expect(monitor.current.ready).toBe(true);
    expect(probe.checks).toBe(1);
  });

  it("is not ready while stopping, whatever the components say", async () => {
    const { monitor, changes } = monitorOf(database());
    await monitor.refresh();
    monitor.beginStopping();
    expect(monitor.current.ready).toBe(false);
    expect(monitor.current.status.components.at(-1)).toEqual({
      name: "service",
      state: "degraded",
      details: { reason: "stopping" },
    });
    await monitor.refresh();
    expect(monitor.current.ready).toBe(false);
    expect(changes).toHaveLength(2);
  });

  it("refreshes with a check that began after the call", async () => {
    const answers = [Promise.withResolvers<ComponentReport>(), Promise.withResolvers<ComponentReport>()];
    let checks = 0;
    const { monitor } = monitorOf({ name: "database", neededForReady: true, check: () => answers[checks++]!.promise });
    monitor.start();
    const refreshed = monitor.refresh();
    answers[0]!.resolve({ state: "degraded" });
    answers[1]!.resolve({ state: "healthy" });
    await refreshed;
    expect(monitor.current.ready).toBe(true);
    await monitor.stop();
  });

  it("leaves no timer when it is stopped", async () => {
    const { monitor } = monitorOf(database());
    monitor.start();
    await vi.advanceTimersByTimeAsync(500);
    await monitor.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leaves no timer when it is stopped in the middle of a check", async () => {
    const { monitor } = monitorOf(database());
    monitor.start();
    await monitor.stop();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
