import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { bar, collect } from "../support/bars.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url, timeoutMs: 2_000, connectTimeoutMs: 1_000 });
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

const count = async (symbol: string): Promise<number> => (await collect(store.bars.read({ symbol }))).length;
const signal = (at: number) => ({
  vendor: "w",
  symbol: "S",
  name: "n",
  ts: BigInt(Date.UTC(2024, 0, 1)) * 1_000n + BigInt(at),
  value: at,
});

describe("a batch writer", () => {
  it("takes rows of many datasets and has them all in the database after flush", async () => {
    const writer = store.batchWriter({ flushIntervalMs: 60_000 });
    for (let at = 0; at < 10; at++) {
      await writer.write("bars", bar(at, { symbol: "MANY" }));
      await writer.write("signals", signal(at));
    }
    await writer.write("news", { vendor: "w", published_at: "2024-01-01T00:00:00Z", title: "t", url: "u" });
    expect(await count("MANY")).toBe(0);
    await writer.flush();
    expect(writer.counts).toMatchObject({ bars: { inserted: 10 }, signals: { inserted: 10 }, news: { inserted: 1 } });
    expect(await count("MANY")).toBe(10);
    await writer.close();
  });

  it("writes by itself after so many rows, so many bytes, or so much time", async () => {
    const byRows = store.batchWriter({ maxRows: 5, flushIntervalMs: 60_000 });
    for (let at = 0; at < 5; at++) await byRows.write("bars", bar(at, { symbol: "ROWS" }));
    await expect.poll(() => count("ROWS")).toBe(5);
    const byBytes = store.batchWriter({ maxBytes: 600, flushIntervalMs: 60_000 });
    for (let at = 0; at < 3; at++) await byBytes.write("bars", bar(at, { symbol: "BYTES" }));
    await expect.poll(() => count("BYTES")).toBe(3);
    const byTime = store.batchWriter({ flushIntervalMs: 20 });
    await byTime.write("bars", bar(0, { symbol: "TIME" }));
    await expect.poll(() => count("TIME")).toBe(1);
    await Promise.all([byRows.close(), byBytes.close(), byTime.close()]);
  });

  it("holds no more than twice its limit, however fast rows come", async () => {
    const writer = store.batchWriter({ maxRows: 100, flushIntervalMs: 60_000 });
    let most = 0;
    for (let at = 0; at < 5_000; at++) {
      await writer.write("bars", bar(at, { symbol: "FAST" }));
      most = Math.max(most, writer.waitingRows);
    }
    await writer.close();
    expect(most).toBeLessThanOrEqual(100);
    expect(await count("FAST")).toBe(5_000);
  });

  it("throws the failure of a background flush at the next call, keeps the rows, and writes them later", async () => {
    const writer = store.batchWriter({ maxRows: 3, flushIntervalMs: 60_000 });
    await database.sql("begin");
    await database.sql("lock table store.bars_data in access exclusive mode");
    for (let at = 0; at < 3; at++) await writer.write("bars", bar(at, { symbol: "LATE" }));
    await expect(
      (async () => {
        for (let at = 3; at < 9; at++) await writer.write("bars", bar(at, { symbol: "LATE" }));
      })(),
    ).rejects.toMatchObject({ code: "deadline_exceeded" });
    await database.sql("rollback");
    await writer.flush();
    expect(await count("LATE")).toBeGreaterThanOrEqual(3);
    await writer.close();
  });

  it("lets the later row win when a failed flush is repeated", async () => {
    const writer = store.batchWriter({ flushIntervalMs: 60_000 });
    await writer.write("bars", bar(0, { symbol: "ORDER", volume: 1 }));
    await database.sql("begin");
    await database.sql("lock table store.bars_data in access exclusive mode");
    const failing = writer.flush();
    await writer.write("bars", bar(0, { symbol: "ORDER", volume: 2 }));
    await expect(failing).rejects.toMatchObject({ code: "deadline_exceeded" });
    await database.sql("rollback");
    await writer.close();
    expect(await collect(store.bars.read({ symbol: "ORDER" }))).toMatchObject([{ volume: 2 }]);
  });

  it("tells of rejected rows, refuses rows after close, and leaves the store open", async () => {
    const told: unknown[] = [];
    const writer = store.batchWriter({ onRejected: (dataset, { code }) => told.push([dataset, code]) });
    await writer.write("bars", bar(0, { symbol: "BAD", volume: -1 }));
    await writer.close();
    expect(told).toEqual([["bars", "number_out_of_range"]]);
    await expect(writer.write("bars", bar(0))).rejects.toMatchObject({ code: "usage" });
    expect(await count("BAD")).toBe(0);
    expect(() => store.batchWriter({ maxRows: 0 })).toThrow("maxRows is 0");
  });
});
