/** The service over real HTTP, on a fake database: routes, states, and how it starts. */
import { Agent, request } from "node:http";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { healthStatus } from "../../src/contracts/health-status.ts";
import { StoreError } from "../../src/errors/store-error.ts";
import { type RunningService, startService } from "../../src/service/server.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { StoreMetrics } from "../../src/telemetry/metrics.ts";
import { FakeServiceDatabase } from "../support/fake-service-database.ts";

interface LogLine {
  readonly level: string;
  readonly msg: string;
}

let service: RunningService | undefined;
let database = new FakeServiceDatabase();
let lines: LogLine[] = [];

afterEach(async () => {
  database.mode = "up";
  database.release();
  await service?.stop();
  service = undefined;
});

async function start(change: (database: FakeServiceDatabase) => void = () => {}, migrateOnStart = true): Promise<void> {
  database = new FakeServiceDatabase();
  change(database);
  lines = [];
  const log = createLogger({ level: "info", stream: { write: (line) => void lines.push(JSON.parse(line)) } });
  const config = { host: "127.0.0.1", port: 0, migrateOnStart, shutdownTimeoutMs: 2_000 };
  service = await startService({ config, database, log, metrics: new StoreMetrics() });
}

const get = (path: string, init?: RequestInit): Promise<Response> => fetch(`${service?.url}${path}`, init);
const statusOf = async (path: string): Promise<number> => (await get(path)).status;
const health = async (path = "/health") => healthStatus.parse(await (await get(path)).json());
const until = (check: () => Promise<void>): Promise<void> => vi.waitFor(check, { timeout: 15_000, interval: 20 });
const untilReady = (): Promise<void> => until(async () => expect(await statusOf("/readyz")).toBe(200));
const metric = async (name: string): Promise<string | undefined> =>
  (await (await get("/metrics")).text()).split("\n").find((line) => line.startsWith(name));

describe("a service whose database is up", () => {
  it("migrates, becomes ready and answers every route", async () => {
    await start();
    await untilReady();
    for (const path of ["/health", "/healthz", "/readyz"]) {
      const answer = await get(path);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
      expect(healthStatus.parse(await answer.json())).toMatchObject({ service: "market-data-store", state: "healthy" });
    }
    expect(await statusOf("/livez")).toBe(200);
    const schema = await get("/schema/version");
    expect(await schema.json()).toEqual({
      version: 2,
      applied_at: "2026-01-01T00:00:00.000000Z",
      pending: 0,
      checksum_ok: true,
      engine: "plain",
      engine_version: "18.4",
    });
    const metrics = await get("/metrics");
    expect(metrics.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await metrics.text()).toContain("migrations_applied_total 2");
  });

  it("answers what it does not have with problem+json", async () => {
    await start();
    for (const [path, method, status] of [
      ["/admin", "GET", 404],
      ["/health", "POST", 405],
    ] as const) {
      const answer = await get(path, { method });
      expect(answer.status).toBe(status);
      expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    }
  });

  it("R29 opens nothing and asks nothing for ten thousand health checks", async () => {
    await start();
    await untilReady();
    const agent = new Agent({ keepAlive: true, maxSockets: 20 });
    onTestFinished(() => agent.destroy());
    const asked = { ...database.calls };
    const pool = database.poolCounts();
    const check = () =>
      new Promise<number | undefined>((resolve, reject) => {
        const sent = request(`${service?.url}/health`, { agent }, (answer) => {
          answer.resume().on("end", () => resolve(answer.statusCode));
        });
        sent.on("error", reject).end();
      });
    const statuses = await Promise.all(Array.from({ length: 10_000 }, check));
    expect(new Set(statuses)).toEqual(new Set([200]));
    // The monitor's own timer asks once a second meanwhile.
    expect(database.calls.ping - asked.ping).toBeLessThan(100);
    expect(database.calls.schemaVersion - asked.schemaVersion).toBeLessThan(100);
    expect(database.poolCounts()).toEqual(pool);
  });

  it("R31 sets store_up without being asked for health", async () => {
    await start();
    await until(async () => expect(await metric("store_up")).toBe("store_up 1"));
    database.mode = "away";
    await until(async () => expect(await metric("store_up")).toBe("store_up 0"));
  });

  it("R31 never takes a path as a label", async () => {
    await start();
    await get("/health/../../etc/passwd?x=1");
    await get(`/${"x".repeat(100)}`);
    // A request is counted once its answer is out, so it may be the next one's turn before that.
    await until(async () => {
      const text = await (await get("/metrics")).text();
      expect(text).toContain('endpoint="unmatched",status="404"} 2');
      expect(text).not.toMatch(/passwd|xxx/);
    });
  });

  it("R30 shows requests, state, pool and migrations in one registry", async () => {
    await start();
    await untilReady();
    const text = await (await get("/metrics")).text();
    for (const name of [
      "store_up",
      "http_requests_total",
      "http_request_duration_seconds",
      "migrations_applied_total",
      "mds_rows_written_total",
      "mds_database_pool_in_use",
      "mds_database_pool_idle",
      "mds_database_pool_waiting",
    ]) {
      expect(text).toContain(`# TYPE ${name} `);
    }
  });
});

describe("a service whose database is away", () => {
  it("listens, is degraded and not ready, says so once, and becomes ready when the database comes", async () => {
    await start((fake) => {
      fake.mode = "away";
    });
    await until(async () => expect((await health()).components[0]?.details).toEqual({ code: "database_unavailable" }));
    expect(await statusOf("/health")).toBe(200);
    expect(await statusOf("/readyz")).toBe(503);
    expect(await health("/readyz")).toMatchObject({ state: "degraded" });
    expect(await statusOf("/livez")).toBe(200);
    const schema = await get("/schema/version");
    expect(schema.status).toBe(503);
    expect(await schema.text()).toMatch(/"code":"database_unavailable"/);
    await until(async () => expect(database.calls.ping).toBeGreaterThan(2));
    expect(lines.map(({ level }) => level)).toEqual(["info", "warn"]);
    database.mode = "up";
    await untilReady();
    expect(lines.filter(({ msg }) => msg === "The store is healthy and ready.")).toHaveLength(1);
    expect(JSON.stringify(lines)).not.toContain("hunter2");
  });

  it("does not wait for a database that hangs", async () => {
    await start();
    await untilReady();
    database.mode = "hanging";
    await until(async () => expect(await statusOf("/readyz")).toBe(503));
    expect(await health()).toMatchObject({ state: "degraded" });
    const schema = await get("/schema/version");
    expect([schema.status, schema.headers.get("content-type")]).toEqual([
      503,
      expect.stringMatching(/^application\/problem\+json/),
    ]);
  });
});

describe("a service whose migration needs a person", () => {
  it("is unhealthy until somebody has mended it", async () => {
    await start((fake) => {
      fake.migrationFault = new StoreError("migration_failed", "Migration 2 failed.");
    });
    await until(async () => expect(await statusOf("/health")).toBe(503));
    expect(await health()).toMatchObject({ state: "unhealthy" });
    expect(await statusOf("/readyz")).toBe(503);
    expect(database.calls.migrate).toBe(1);
    database.applied = 2;
    await untilReady();
    expect(await health()).toMatchObject({ state: "healthy" });
  });

  it("is unhealthy when an applied migration was altered", async () => {
    await start((fake) => {
      fake.checksumOk = false;
    });
    await until(async () => expect(await statusOf("/health")).toBe(503));
  });
});

describe("a service that does not migrate on start", () => {
  it("is not ready while migrations are pending", async () => {
    await start(() => {}, false);
    await until(async () =>
      expect((await health()).components[1]?.details).toMatchObject({ code: "migration_pending" }),
    );
    expect(await statusOf("/readyz")).toBe(503);
    expect(await statusOf("/health")).toBe(200);
    expect(database.calls.migrate).toBe(0);
    database.applied = 2;
    await untilReady();
  });
});

describe("a service that cannot listen", () => {
  it.each([
    [
      "in use",
      () => ({ host: "127.0.0.1", port: Number(new URL(service?.url ?? "").port) }),
      /^Port \d+ on 127.0.0.1 is in use/,
    ],
    ["no address", () => ({ host: "192.0.2.1", port: 0 }), /^192\.0\.2\.1 is no address of this machine/],
  ])("says so in one sentence and closes the database: %s", async (_, where, sentence) => {
    await start();
    const second = new FakeServiceDatabase();
    const log = createLogger({ level: "silent" });
    const config = { migrateOnStart: true, shutdownTimeoutMs: 2_000, ...where() };
    const failed = startService({ config, database: second, log, metrics: new StoreMetrics() });
    await expect(failed).rejects.toMatchObject({ code: "listen_failed", message: expect.stringMatching(sentence) });
    expect(second.calls).toMatchObject({ close: 1, ping: 0 });
  });
});
