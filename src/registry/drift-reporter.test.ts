import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SchemaDrift } from "../contracts/schema-drift.ts";
import { type JsonSchema, schemaSha256 } from "../contracts/schema-hash.ts";
import type { NotedDrift } from "../database/drift-state.ts";
import { StoreError } from "../errors/store-error.ts";
import { DriftMetrics } from "../telemetry/drift-metrics.ts";
import { StoreMetrics } from "../telemetry/metrics.ts";
import { type DriftLedger, DriftReporter } from "./drift-reporter.ts";
import type { SchemaRegistry } from "./schema-registry.ts";

const NAME = "telemetry.FeedbackEvent";
const local: JsonSchema = {
  title: NAME,
  type: "object",
  properties: { level: { enum: ["ok", "hard"] } },
  required: ["level"],
};
const other: JsonSchema = { ...local, properties: { level: { type: "integer" } } };
const labels = `repo="market-data-store",track="v1",schema="${NAME}"`;

/** A registry and a ledger that tests steer. */
class Peers {
  content: JsonSchema | undefined = local;
  version = 1;
  isAway = false;
  isLedgerAway = false;
  asked = 0;
  readonly known = new Map<string, string>();

  readonly registry: SchemaRegistry = {
    check: async () => {
      this.asked++;
      if (this.isAway) throw new StoreError("registry_unavailable", "The schema registry does not answer.");
    },
    fetch: async (track, name) => this.content && { track, name, version: String(this.version), content: this.content },
    names: async () => [NAME],
    publish: async () => ({ version: "1", created: true }),
  };

  readonly ledger: DriftLedger = {
    note: async (drift: NotedDrift) => {
      if (this.isLedgerAway) throw new StoreError("database_unavailable", "The database does not answer.");
      const key = `${drift.schema_name} ${drift.local_sha256}`;
      const isNew = this.known.get(key) !== drift.registry_sha256;
      this.known.set(key, drift.registry_sha256);
      return isNew;
    },
    clear: async ({ schema_name, local_sha256 }) => {
      if (this.isLedgerAway) throw new StoreError("database_unavailable", "The database does not answer.");
      this.known.delete(`${schema_name} ${local_sha256}`);
    },
  };
}

let peers: Peers;
let reporters: DriftReporter[];
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  [peers, reporters] = [new Peers(), []];
});
afterEach(async () => {
  await Promise.all(reporters.map((reporter) => reporter.stop()));
  vi.useRealTimers();
});

function start(intervalMs = 60_000) {
  const metrics = new StoreMetrics();
  const told: SchemaDrift[] = [];
  const lines: string[] = [];
  const note = (_facts: object, message?: string): void => void lines.push(message ?? "");
  const reporter = new DriftReporter({
    registry: peers.registry,
    schemas: [{ name: NAME, content: local, sha256: schemaSha256(local), compatibility: "full" }],
    ...{ track: "v1", version: "0.5.0", intervalMs, ledger: peers.ledger },
    metrics: new DriftMetrics(metrics.registry),
    onDrift: (drift) => void told.push(drift),
    wait: (ms, signal) =>
      new Promise<void>((resolve) => {
        setTimeout(resolve, ms);
        signal.addEventListener("abort", () => resolve(), { once: true });
      }),
    log: { info: note as never, warn: note as never, debug: () => undefined },
  });
  reporters.push(reporter);
  reporter.start();
  return { reporter, told, lines, metric: async () => (await metrics.registry.metrics()).split("\n") };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("DriftReporter", () => {
  it("finds nothing where nothing differs", async () => {
    const { reporter, told, metric } = start();
    expect(reporter.health()).toEqual({ state: "healthy", details: { track: "v1", reason: "not compared yet" } });
    await pass(0);
    expect(reporter.health()).toEqual({ state: "healthy", details: { track: "v1" } });
    expect(told).toEqual([]);
    const text = await metric();
    expect(text).toContain(`schema_drift_total{${labels}} 0`);
    expect(text).toContain(`mds_schema_drift_state{${labels}} 0`);
    expect(text.some((line) => line.startsWith("schema_drift_last_detected_timestamp{"))).toBe(false);
  });

  it("R37 takes a changed description for none", async () => {
    peers.content = { ...local, title: "Feedback", description: "Changed." };
    const { told, metric } = start();
    await pass(0);
    expect(told).toEqual([]);
    expect(await metric()).toContain(`mds_schema_drift_state{${labels}} 0`);
  });

  it("R37 takes a schema that the registry lacks neither for drift nor for in sync", async () => {
    peers.content = undefined;
    const { reporter, told, metric } = start();
    await pass(0);
    expect(told).toEqual([]);
    expect((await metric()).some((line) => line.startsWith("mds_schema_drift_state{"))).toBe(false);
    expect(reporter.health()).toEqual({ state: "healthy", details: { track: "v1", missing: "1" } });
  });

  it("R36 tells a difference once, shows it while it lasts, and shows when it is over", async () => {
    const { reporter, told, lines, metric } = start();
    await pass(0);
    peers.content = other;
    peers.version = 2;
    await pass(60_000);
    await pass(180_000);
    expect(told).toEqual([
      {
        ...{ repo: "market-data-store", schema: NAME, track: "v1", change: "breaking" },
        ...{ local_sha256: schemaSha256(local), local_version: "0.5.0" },
        ...{ registry_sha256: schemaSha256(other), registry_version: "2", detected_at: expect.any(Number) },
      },
    ]);
    expect(reporter.health()).toEqual({
      state: "degraded",
      details: { reason: "breaking drift", track: "v1", drift: NAME, breaking: NAME },
    });
    let text = await metric();
    expect(text).toContain(`schema_drift_total{${labels}} 1`);
    expect(text).toContain(`mds_schema_drift_state{${labels}} 1`);
    expect(text).toContain(`mds_schema_drift_breaking{${labels}} 1`);
    peers.content = local;
    await pass(60_000);
    expect(reporter.health().state).toBe("healthy");
    text = await metric();
    expect(text).toContain(`mds_schema_drift_state{${labels}} 0`);
    expect(text).toContain(`mds_schema_drift_breaking{${labels}} 0`);
    expect(text).toContain(`schema_drift_total{${labels}} 1`);
    expect(peers.known.size).toBe(0);
    expect(lines).toEqual([
      `The contract ${NAME} differs from the registry's (breaking).`,
      `The drift of ${NAME} is over.`,
    ]);
    peers.content = other;
    await pass(60_000);
    expect(told).toHaveLength(2);
  });

  it("R36 tells it once for all replicas and over restarts, while each shows it", async () => {
    peers.content = other;
    const replicas = [start(), start()];
    await pass(60_000);
    await replicas[0]!.reporter.stop();
    const restarted = start();
    await pass(60_000);
    expect([...replicas, restarted].flatMap(({ told }) => told)).toHaveLength(1);
    for (const { metric } of [replicas[1]!, restarted]) {
      expect(await metric()).toContain(`mds_schema_drift_state{${labels}} 1`);
    }
  });

  it("takes a registry that does not answer for degraded, never for drift, and asks again soon", async () => {
    peers.isAway = true;
    const { reporter, told, lines, metric } = start();
    await pass(10_000);
    expect(reporter.health()).toEqual({ state: "degraded", details: { track: "v1", code: "registry_unavailable" } });
    expect(peers.asked).toBe(4);
    expect(await metric()).toContain("mds_registry_errors_total 4");
    peers.isAway = false;
    await pass(10_000);
    expect(reporter.health().state).toBe("healthy");
    expect(told).toEqual([]);
    expect(lines).toEqual(["The contracts cannot be compared with the registry's.", "The schema registry is back."]);
  });

  it("keeps what it found last while the registry is away", async () => {
    peers.content = other;
    const { reporter, metric } = start();
    await pass(0);
    peers.isAway = true;
    await pass(60_000);
    expect(await metric()).toContain(`mds_schema_drift_state{${labels}} 1`);
    expect(reporter.health().details).toMatchObject({ code: "registry_unavailable", drift: NAME });
  });

  it("shows a difference while the database is away, and tells it when that is back", async () => {
    peers.content = other;
    peers.isLedgerAway = true;
    const { told, metric } = start();
    await pass(5_000);
    expect(await metric()).toContain(`mds_schema_drift_state{${labels}} 1`);
    expect(told).toEqual([]);
    peers.isLedgerAway = false;
    await pass(5_000);
    expect(told).toHaveLength(1);
    expect(await metric()).toContain(`schema_drift_total{${labels}} 1`);
  });
});
