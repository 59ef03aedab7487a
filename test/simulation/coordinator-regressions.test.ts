/** What the first implementation's coordinator got wrong, with time in the test's hand. */
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import type { CoordinatorOptions } from "../../src/coordinator/coordinator-options.ts";
import { WriteCoordinator } from "../../src/coordinator/write-coordinator.ts";
import { StoreError } from "../../src/errors/store-error.ts";
import { type Feedback, FeedbackBus } from "../../src/feedback/feedback-bus.ts";
import { IngestMetrics } from "../../src/telemetry/ingest-metrics.ts";
import { FakeDeadLetters, FakeSink, fakeRow } from "../support/fake-sink.ts";
import { ManualClock, settled } from "../support/manual-clock.ts";

const away = (): never => {
  throw new StoreError("database_unavailable", "The database is away.");
};

function setUp(sink: FakeSink, options: Partial<CoordinatorOptions> = {}) {
  const clock = new ManualClock();
  const deadLetters = new FakeDeadLetters();
  const registry = new Registry();
  const coordinator = new WriteCoordinator({
    sinks: { bars: sink },
    tenantId: "t",
    deadLetters,
    clock,
    random: () => 0.5,
    metrics: new IngestMetrics(registry, { pollMs: 0 }),
    ...options,
  });
  const metric = async (name: string, labels: Record<string, string> = {}): Promise<number | undefined> => {
    const { values } = (await registry.getSingleMetric(name)!.get()) as { values: { labels: object; value: number }[] };
    return values.find((one) => Object.entries(labels).every(([label, value]) => one.labels[label as never] === value))
      ?.value;
  };
  return { coordinator, clock, deadLetters, metric };
}

const rows = (count: number, symbol = "A") => Array.from({ length: count }, (_, at) => fakeRow(at, symbol));

describe("R22 idleness", () => {
  it("has no timer while there is nothing to do, and writes what comes after a long idle time", async () => {
    const sink = new FakeSink();
    const { coordinator, clock } = setUp(sink);
    for (let round = 1; round <= 3; round++) {
      await clock.advance(3_600_000);
      expect(clock.timers).toBe(0);
      await coordinator.submit("bars", fakeRow(round));
      expect(clock.timers).toBe(1);
      await clock.advance(250);
      expect(sink.rows).toHaveLength(round);
    }
    expect(clock.timers).toBe(0);
  });

  it("flushes at once what would wait for its batch", async () => {
    const sink = new FakeSink();
    const { coordinator, clock } = setUp(sink);
    await coordinator.submitMany("bars", rows(3));
    expect(await coordinator.flush()).toMatchObject({ inserted: 3, deadLettered: 0 });
    expect(await coordinator.flush()).toMatchObject({ inserted: 0 });
    await settled();
    expect(clock.timers).toBe(0);
  });
});

describe("R23 bad rows", () => {
  const refuseBad = ({ rows: given }: { rows: readonly unknown[] }): void => {
    if (given.some((row) => (row as { at: number }).at === 13)) {
      throw new StoreError("constraint_violated", "at is 13.");
    }
  };

  it("cost themselves and nothing else, and no worker", async () => {
    const sink = new FakeSink(refuseBad);
    const { coordinator, deadLetters, metric } = setUp(sink);
    await coordinator.submitMany("bars", rows(100));
    expect(await coordinator.flush()).toMatchObject({ inserted: 99, deadLettered: 1 });
    expect(deadLetters.letters).toMatchObject([
      { tenantId: "t", dataset: "bars", code: "constraint_violated", row: { at: 13 }, attempts: 1 },
    ]);
    expect(sink.rows.map((row) => (row as { at: number }).at)).toEqual(
      rows(100).flatMap(({ at }) => (at === 13 ? [] : [at])),
    );
    expect(await metric("mds_coord_workers_alive")).toBe(4);
    expect(await metric("mds_worker_write_errors_total", { error_type: "constraint_violated" })).toBeGreaterThan(0);
  });

  it("a sink that throws what it should not kills no worker either: submit never waits for ever", async () => {
    const sink = new FakeSink(() => {
      throw new TypeError("a fault of ours");
    });
    const { coordinator, deadLetters } = setUp(sink, { capacity: 16, workers: 1 });
    for (let round = 0; round < 10; round++) await coordinator.submitMany("bars", rows(16));
    await coordinator.flush();
    expect(deadLetters.letters).toHaveLength(160);
    expect(new Set(deadLetters.letters.map(({ code }) => code))).toEqual(new Set(["internal"]));
    expect(coordinator.health()).toMatchObject({ workersAlive: 1, queueSize: 0 });
  });

  it("a tenant that is refused costs its own rows, in one go", async () => {
    const sink = new FakeSink(({ tenantId }) => {
      if (tenantId === "gone") throw new StoreError("tenant_refused", "There is no such tenant.");
    });
    const { coordinator, deadLetters } = setUp(sink, { workers: 1 });
    await coordinator.submitMany("bars", rows(50), { tenantId: "gone" });
    await coordinator.submitMany("bars", rows(50));
    expect(await coordinator.flush()).toMatchObject({ inserted: 50, deadLettered: 50 });
    expect(sink.calls).toBe(2);
    expect(deadLetters.letters.every(({ tenantId }) => tenantId === "gone")).toBe(true);
  });
});

describe("R25 the breaker", () => {
  const tuning = { workers: 4, retry: { jitter: false }, breaker: { failuresToOpen: 5, halfOpenAfterMs: 60_000 } };

  it("opens in an outage, lets exactly one worker probe, and the outage uses up no attempts", async () => {
    let isAway = true;
    const sink = new FakeSink(() => (isAway ? away() : undefined));
    const { coordinator, clock, deadLetters, metric } = setUp(sink, tuning);
    for (const symbol of ["A", "B", "C", "D", "E", "F", "G", "H"]) await coordinator.submit("bars", fakeRow(1, symbol));
    await clock.advance(5_000);
    expect(coordinator.health().circuit).toBe("open");
    expect(await metric("mds_coord_circuit_state")).toBe(1);
    const before = sink.calls;
    for (let probe = 1; probe <= 20; probe++) {
      await clock.advance(60_000);
      expect(sink.calls).toBe(before + probe);
    }
    isAway = false;
    await clock.advance(60_000);
    expect(coordinator.health()).toMatchObject({ circuit: "closed", queueSize: 0 });
    expect(sink.rows).toHaveLength(8);
    expect(deadLetters.letters).toEqual([]);
  });

  it("a stop ends the wait for it at once, and says what was left", async () => {
    const { coordinator, clock, deadLetters } = setUp(new FakeSink(away), tuning);
    await coordinator.submitMany("bars", rows(10));
    await clock.advance(5_000);
    expect(coordinator.health().circuit).toBe("open");
    expect(await coordinator.stop({ timeoutMs: 10_000 })).toEqual({ left: 10, deadLettered: 10, inSpool: 0, lost: 0 });
    expect(deadLetters.letters[0]).toMatchObject({ code: "shutting_down", row: { at: 0 } });
    expect(clock.timers).toBe(0);
  });

  it("gives a batch up that keeps failing while others succeed", async () => {
    const sink = new FakeSink(({ rows: given }) => {
      if (given.some((row) => (row as { symbol: string }).symbol === "BAD")) away();
    });
    const { coordinator, clock, deadLetters } = setUp(sink, {
      ...tuning,
      flushIntervalMs: 0,
      retry: { maxAttempts: 3 },
    });
    await coordinator.submit("bars", fakeRow(1, "BAD"));
    for (let at = 0; at < 100; at++) {
      await coordinator.submit("bars", fakeRow(at, "A"));
      await clock.advance(50);
    }
    expect(deadLetters.letters).toMatchObject([{ code: "database_unavailable", attempts: 3 }]);
  });
});

describe("R26 feedback", () => {
  it("never waits for a subscriber, and a slow one stops nobody's writing", async () => {
    const sink = new FakeSink();
    const feedback = new FeedbackBus();
    let begun = 0;
    feedback.subscribe({
      name: "slow",
      deliver: () => {
        begun++;
        return new Promise<void>(() => {});
      },
    });
    const { coordinator } = setUp(sink, { feedback, capacity: 16, workers: 1 });
    for (let round = 0; round < 100; round++) await coordinator.submitMany("bars", rows(16));
    expect(begun).toBe(0); // Nobody is called in a producer's turn.
    await coordinator.flush();
    expect(sink.rows).toHaveLength(1_600);
    await settled();
    expect(begun).toBe(1);
  });

  it("gives one event a crossing, of the region that is entered", async () => {
    const held = Promise.withResolvers<void>();
    const feedback = new FeedbackBus();
    const events: Feedback[] = [];
    feedback.subscribe({ name: "test", deliver: (event) => void events.push(event) });
    const sink = new FakeSink(() => held.promise);
    const { coordinator } = setUp(sink, { feedback, capacity: 100, workers: 1, batchRows: 25, id: "bars-coord" });
    for (const count of [50, 1, 28, 1, 20]) await coordinator.submitMany("bars", rows(count));
    held.resolve();
    await coordinator.flush();
    await feedback.drained();
    expect(events.map(({ level, reason, queue_size }) => [level, reason, queue_size])).toEqual([
      ["soft", "queue_filling", 51],
      ["hard", "queue_high_watermark", 80],
      ["soft", "queue_draining", 75],
      ["ok", "queue_recovered", 50],
    ]);
    expect(events[1]).toEqual({
      coordinator_id: "bars-coord",
      queue_size: 80,
      capacity: 100,
      level: "hard",
      source: "store",
      ts: 1_700_000_001,
      reason: "queue_high_watermark",
      utilization: 0.8,
    });
  });
});

describe("R27 a drain that times out", () => {
  it("hands what is left to the dead letters and counts it; a sink that hangs does not hold it up", async () => {
    const sink = new FakeSink(() => new Promise(() => {}));
    const { coordinator, clock, deadLetters } = setUp(sink, { capacity: 100, workers: 1, batchRows: 25 });
    await coordinator.submitMany("bars", rows(60));
    const waiting = coordinator.submitMany("bars", rows(60));
    const refused = expect(waiting).rejects.toMatchObject({ code: "shutting_down", details: { accepted: 40 } });
    const stopping = coordinator.stop({ timeoutMs: 1_000 });
    await refused;
    await clock.advance(3_000);
    expect(await stopping).toEqual({ left: 100, deadLettered: 100, inSpool: 0, lost: 0 });
    expect(deadLetters.letters).toHaveLength(100);
    await expect(coordinator.submit("bars", fakeRow(1))).rejects.toMatchObject({ code: "shutting_down" });
  });

  it("says how many rows are gone when the dead letters fail as well", async () => {
    const { coordinator, clock, metric } = setUp(new FakeSink(away), {
      deadLetters: { append: () => Promise.reject(new StoreError("internal", "full")), close: async () => {} },
    });
    await coordinator.submitMany("bars", rows(10));
    const flushed = expect(coordinator.flush()).rejects.toMatchObject({ code: "shutting_down" });
    const stopping = coordinator.stop({ drain: false });
    await clock.advance(10_000);
    expect(await stopping).toMatchObject({ left: 10, deadLettered: 0, lost: 10 });
    await flushed;
    expect(await metric("mds_coord_items_dropped_total", { reason: "lost_at_stop" })).toBe(10);
  });
});

describe("R28 full queues", () => {
  const tuning = { capacity: 16, workers: 1, batchRows: 4 };

  it("drop_oldest drops as many rows as there is no room for, the oldest first, and counts them", async () => {
    const held = Promise.withResolvers<void>();
    const sink = new FakeSink(() => held.promise);
    const { coordinator, metric } = setUp(sink, { ...tuning, overflow: "drop_oldest" });
    // Four are under way, twelve wait, and then five come at the same time: five of those that wait have to go.
    await coordinator.submitMany("bars", rows(16));
    await Promise.all(Array.from({ length: 5 }, (_, at) => coordinator.submit("bars", fakeRow(100 + at))));
    expect(await metric("mds_coord_items_dropped_total", { reason: "oldest" })).toBe(5);
    expect(coordinator.health().queueSize).toBe(16);
    held.resolve();
    expect(await coordinator.flush()).toMatchObject({ inserted: 16, dropped: 5 });
    expect(sink.rows.map((row) => (row as { at: number }).at)).toEqual([
      ...[0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15],
      ...[100, 101, 102, 103, 104],
    ]);
    expect(await metric("mds_coord_items_submitted_total")).toBe(21);
  });

  it("error refuses what there is no room for, says how many were accepted, and counts the others", async () => {
    const { coordinator, metric } = setUp(new FakeSink(() => new Promise(() => {})), { ...tuning, overflow: "error" });
    await coordinator.submitMany("bars", rows(10));
    await expect(coordinator.submitMany("bars", rows(10))).rejects.toMatchObject({
      code: "queue_full",
      retryable: true,
      details: { accepted: 6 },
    });
    expect(await metric("mds_coord_items_dropped_total", { reason: "queue_full" })).toBe(4);
    expect(await metric("mds_coord_items_submitted_total")).toBe(16);
    expect(await metric("mds_coord_queue_depth")).toBe(16);
  });

  it("block waits in the order of the calls; a producer may give up, and what it did not get in is counted", async () => {
    const held = Promise.withResolvers<void>();
    const sink = new FakeSink(() => held.promise);
    const { coordinator, metric } = setUp(sink, tuning);
    await coordinator.submitMany("bars", rows(16));
    const stop = new AbortController();
    const impatient = coordinator.submit("bars", fakeRow(100), { signal: stop.signal });
    const patient = coordinator.submit("bars", fakeRow(101));
    stop.abort();
    await expect(impatient).rejects.toMatchObject({ code: "aborted", details: { accepted: 0 } });
    held.resolve();
    await patient;
    await coordinator.flush();
    expect(sink.rows.map((row) => (row as { at: number }).at)).toEqual([...rows(16).map(({ at }) => at), 101]);
    expect(await metric("mds_coord_items_dropped_total", { reason: "wait_ended" })).toBe(1);
  });

  it("refuses drop_oldest with a spool", () => {
    expect(() => setUp(new FakeSink(), { overflow: "drop_oldest", spool: {} as never })).toThrow(/drop_oldest/);
  });
});
