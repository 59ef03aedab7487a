/** The coordinator on a real database: every dataset, several tenants, bad rows, cut connections, a spool. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Registry } from "prom-client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import {
  type Coordinator,
  type CreateCoordinatorOptions,
  createCoordinator,
} from "../../src/coordinator/create-coordinator.ts";
import { IngestMetrics } from "../../src/telemetry/ingest-metrics.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const APPLICATION = "coordinator test";
let database: TestDatabase;
let store: Store;
let folder: string;
let coordinators: Coordinator[];

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
  await database.sql("alter table store.bars_data add constraint made_up check (volume <> 666)");
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mds-coordinator-"));
  coordinators = [];
});

afterEach(async () => {
  for (const coordinator of coordinators) await coordinator.stop();
  await rm(folder, { recursive: true });
});

async function start(options: Partial<CreateCoordinatorOptions> = {}): Promise<Coordinator> {
  const coordinator = await createCoordinator({
    url: database.url,
    applicationName: APPLICATION,
    deadLetterDir: join(folder, "dead-letters"),
    flushIntervalMs: 20,
    ...options,
  } as CreateCoordinatorOptions);
  coordinators.push(coordinator);
  return coordinator;
}

const stored = async (symbol: string): Promise<number> => (await collect(store.bars.read({ symbol }))).length;

async function deadLetters(): Promise<Record<string, unknown>[]> {
  const names = await readdir(join(folder, "dead-letters")).catch(() => []);
  const texts = await Promise.all(names.map((name) => readFile(join(folder, "dead-letters", name), "utf8")));
  return texts.flatMap((text) =>
    text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Record<string, unknown>])),
  );
}

describe("a coordinator", () => {
  it("stores rows of all datasets and says what became of them", async () => {
    const coordinator = await start();
    const ts = "2024-01-02T14:30:00Z";
    await coordinator.submitMany("bars", manyBars(3_000, { symbol: "ALL" }));
    await coordinator.submit("signals", { vendor: "v", symbol: "ALL", name: "n", ts, value: 1 });
    await coordinator.submit("news", { vendor: "v", published_at: ts, title: "t", url: "u" });
    await coordinator.submit("options", {
      vendor: "v",
      symbol: "ALL",
      expiry: "2024-02-16",
      option_type: "C",
      strike: 5,
      ts,
      bid: 1,
    });
    await coordinator.submit("fundamentals", { vendor: "v", symbol: "ALL", asof: ts, total_assets: 1 });
    expect(await coordinator.flush()).toMatchObject({ inserted: 3_004, deadLettered: 0 });
    await coordinator.submitMany("bars", manyBars(3_000, { symbol: "ALL" }));
    expect(await coordinator.flush()).toMatchObject({ inserted: 0, unchanged: 3_000 });
    expect(await stored("ALL")).toBe(3_000);
  });

  it("R22 writes after an idle time as before it, without being told to", async () => {
    const coordinator = await start();
    for (let round = 0; round < 3; round++) {
      await coordinator.submit("bars", bar(round, { symbol: "IDLE" }));
      await expect.poll(() => stored("IDLE")).toBe(round + 1);
    }
  });

  it("R23 of a batch with bad rows stores all others, and the bad ones are dead letters with their reason", async () => {
    const coordinator = await start();
    const rows = manyBars(500, { symbol: "BAD" });
    rows[100] = bar(100, { symbol: "BAD", volume: 666 }); // only the database can tell
    rows[200] = bar(200, { symbol: "BAD", volume: -1 });
    rows[300] = bar(300, { symbol: "BAD", low_price: 1e9 });
    await coordinator.submitMany("bars", rows);
    expect(await coordinator.flush()).toMatchObject({ inserted: 497, deadLettered: 3 });
    expect(new Map((await deadLetters()).map(({ code, tenant_id }) => [code, tenant_id]))).toEqual(
      new Map([
        ["bar_impossible", store.tenantId],
        ["constraint_violated", store.tenantId],
        ["number_out_of_range", store.tenantId],
      ]),
    );
    expect(coordinator.health()).toMatchObject({ workersAlive: 4, circuit: "closed", queueSize: 0 });
  });

  it("keeps tenants apart over one pool", async () => {
    const [other] = await database.sql<{ id: string }>("select mds.create_tenant('other', 'Other') as id");
    const coordinator = await start({ store });
    await coordinator.submitMany("bars", manyBars(10, { symbol: "MINE" }));
    await coordinator.submitMany("bars", manyBars(20, { symbol: "MINE" }), { tenantId: other!.id });
    await coordinator.submit("bars", bar(1), { tenantId: "00000000-0000-4000-8000-000000000000" });
    expect(await coordinator.flush()).toMatchObject({ inserted: 30, deadLettered: 1 });
    expect(await stored("MINE")).toBe(10);
    expect((await deadLetters())[0]).toMatchObject({ tenant_id: "00000000-0000-4000-8000-000000000000" });
  });

  it("counts a batch when it is committed, and one that failed as a failure", async () => {
    const registry = new Registry();
    const coordinator = await start({ metrics: new IngestMetrics(registry, { pollMs: 0 }), workers: 1 });
    await coordinator.submit("bars", bar(0, { symbol: "COUNT" }));
    await coordinator.submit("bars", bar(1, { symbol: "COUNT", volume: 666 }));
    await coordinator.flush();
    const lines = (await registry.metrics()).split("\n");
    expect(lines).toContain('sink_writes_total{sink="bars",outcome="success"} 1');
    expect(lines).toContain('sink_writes_total{sink="bars",outcome="failure"} 2');
    expect(lines).toContain('sink_write_latency_count{sink="bars"} 3');
    expect(lines).toContain('mds_worker_batches_written_total{coord_id="store",worker_id="0"} 1');
    expect(lines).toContain('mds_coord_queue_depth{coord_id="store"} 0');
    expect(lines).toContain('mds_coord_circuit_state{coord_id="store"} 0');
  });
});

describe("faults", () => {
  it("connections that are cut all the time lose nothing and double nothing", async () => {
    const coordinator = await start({
      retry: { maxAttempts: 100, initialMs: 1, maxMs: 20 },
      breaker: { halfOpenAfterMs: 20 },
    });
    const cut = () =>
      database.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", [APPLICATION]);
    for (let at = 0; at < 20; at++) {
      const rows = manyBars(1_000, { symbol: `CUT${at % 5}` }).slice((at % 4) * 250, (at % 4) * 250 + 250);
      await coordinator.submitMany("bars", rows);
      if (at % 3 === 0) await cut();
    }
    expect(await coordinator.flush()).toMatchObject({ deadLettered: 0 });
    const counts = await Promise.all([0, 1, 2, 3, 4].map((at) => stored(`CUT${at}`)));
    expect(counts).toEqual([1_000, 1_000, 1_000, 1_000, 1_000]);
  });

  it("an answer that is lost after the commit costs a replay that changes nothing", async () => {
    const proxy = await startDatabaseProxy(database.url);
    const coordinator = await start({ url: proxy.url, workers: 1, retry: { initialMs: 1 } });
    proxy.loseAnswerTo("mds.upsert_bars");
    await coordinator.submitMany("bars", manyBars(100, { symbol: "LOST" }));
    expect(await coordinator.flush()).toMatchObject({ inserted: 0, unchanged: 100, deadLettered: 0 });
    expect(proxy.lost).toBe(1);
    await coordinator.stop();
    await proxy.close();
  });

  it("what a stop leaves in the spool is stored by the next process, before newer rows of its keys", async () => {
    const spool = { dir: join(folder, "spool") };
    const proxy = await startDatabaseProxy(database.url);
    const first = await start({ url: proxy.url, spool, retry: { initialMs: 1 } });
    proxy.cut();
    await first.submitMany("bars", manyBars(1_000, { symbol: "SPOOL" }));
    expect(await first.stop({ timeoutMs: 100 })).toEqual({ left: 1_000, deadLettered: 0, inSpool: 1_000, lost: 0 });
    await proxy.close();
    expect(await stored("SPOOL")).toBe(0);

    const second = await start({ spool });
    await second.submit("bars", bar(7, { symbol: "SPOOL", volume: 7_777 }));
    await second.flush();
    const rows = await collect(store.bars.read({ symbol: "SPOOL" }));
    expect(rows).toHaveLength(1_000);
    expect(rows[7]).toMatchObject({ volume: 7_777 });
    expect(second.health()).toMatchObject({ spool: { depth: 0, isBehind: false } });
    expect(await deadLetters()).toEqual([]);
  });

  it("rows are accepted on disk while the database is away, far beyond what memory holds", async () => {
    const proxy = await startDatabaseProxy(database.url);
    const spool = { dir: join(folder, "spool") };
    const breaker = { failuresToOpen: 1, halfOpenAfterMs: 60_000 };
    const first = await start({ url: proxy.url, spool, breaker, capacity: 160, workers: 2 });
    proxy.cut();
    for (let at = 0; at < 10; at++) await first.submitMany("bars", manyBars(2_000, { symbol: `AWAY${at}` }));
    expect(first.health()).toMatchObject({ circuit: "open", spool: { depth: 20_000, isBehind: true } });
    expect(first.health().queueSize).toBeLessThanOrEqual(160);
    expect(await first.stop()).toMatchObject({ inSpool: 20_000, lost: 0 });
    await proxy.close();

    const second = await start({ spool });
    expect(await second.flush()).toMatchObject({ inserted: 20_000 });
    const counts = await Promise.all(Array.from({ length: 10 }, (_, at) => stored(`AWAY${at}`)));
    expect(counts).toEqual(new Array(10).fill(2_000));
  });
});
