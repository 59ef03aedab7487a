import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
  await store.bars.upsert(manyBars(25_000, { symbol: "LONG" }));
  for (const symbol of ["B", "A", "C"]) await store.bars.upsert(manyBars(100, { symbol }));
  await store.bars.upsert(manyBars(5, { symbol: "A", timeframe: "1h" }));
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

const us = (iso: string): bigint => BigInt(Date.parse(iso)) * 1_000n;
const at = (minute: number): bigint => bar(minute).ts as bigint;

describe("read", () => {
  it("gives back what was written, to the last digit", async () => {
    const rows = [0.1, 1e-300, 123456789012345, 1.7976931348623157e308, 5e-324].map((price, minute) =>
      bar(minute, {
        symbol: "DIGITS",
        ts: us("2024-03-01T00:00:00Z") + BigInt(minute),
        open_price: price,
        high_price: price,
        low_price: price,
        close_price: price,
        volume: price,
        vwap: -price,
        trade_count: 9_007_199_254_740_993n,
      }),
    );
    expect(await store.bars.upsert(rows)).toMatchObject({ inserted: 5 });
    expect(await collect(store.bars.read({ symbol: "DIGITS" }))).toEqual(rows);
  });

  it("takes a half-open window", async () => {
    const rows = await collect(store.bars.read({ symbol: "A", timeframe: "1m", start: at(10), end: at(20) }));
    expect(rows.map((row) => row.ts)).toEqual(Array.from({ length: 10 }, (_, minute) => at(10 + minute)));
    expect(await collect(store.bars.read({ symbol: "A", start: at(10), end: at(10) }))).toEqual([]);
  });

  it("goes series by series in the order of vendor, symbol and timeframe, each by time", async () => {
    const rows = await collect(store.bars.read({ symbol: ["C", "A", "B"] }));
    const series = [...new Set(rows.map((row) => `${row.symbol} ${row.timeframe}`))];
    expect(series).toEqual(["A 1h", "A 1m", "B 1m", "C 1m"]);
    expect(rows.length).toBe(305);
    const inOrder = rows.every(
      (row, i) =>
        i === 0 ||
        row.symbol !== rows[i - 1]!.symbol ||
        row.timeframe !== rows[i - 1]!.timeframe ||
        row.ts > rows[i - 1]!.ts,
    );
    expect(inOrder).toBe(true);
  });

  it("streams in batches of at most 20,000 across pages, each row once", async () => {
    const sizes: number[] = [];
    const times: bigint[] = [];
    for await (const batch of store.bars.read({ symbol: ["LONG", "A", "B"], timeframe: "1m" })) {
      sizes.push(batch.length);
      times.push(...batch.filter((row) => row.symbol === "LONG").map((row) => row.ts));
    }
    expect(Math.max(...sizes)).toBeLessThanOrEqual(20_000);
    expect(times).toEqual(Array.from({ length: 25_000 }, (_, minute) => at(minute)));
  });

  it("gives the newest first, and no more than the limit", async () => {
    const newest = await collect(store.bars.read({ symbol: "LONG", newestFirst: true, limit: 12_345 }));
    expect(newest.map((row) => row.ts)).toEqual(Array.from({ length: 12_345 }, (_, i) => at(24_999 - i)));
    expect(await collect(store.bars.read({ symbol: "LONG", limit: 0 }))).toEqual([]);
    expect((await collect(store.bars.read({ symbol: ["A", "B"], limit: 107 }))).length).toBe(107);
  });

  it("sees one snapshot, whatever is written while it runs", async () => {
    const seen: bigint[] = [];
    for await (const batch of store.bars.read({ symbol: "LONG" })) {
      if (seen.length === 0) await store.bars.upsert([bar(24_999, { symbol: "LONG", volume: 0 })]);
      seen.push(...batch.map((row) => BigInt(row.volume)));
    }
    expect(seen.at(-1)).toBe(25_999n);
    await store.bars.upsert([bar(24_999, { symbol: "LONG" })]);
  });

  it("gives its connection back when the loop is left early", async () => {
    const narrow = await openStore({ url: database.url, maxConnections: 1 });
    for (let i = 0; i < 3; i++)
      for await (const batch of narrow.bars.read({ symbol: "LONG" })) if (batch.length > 0) break;
    expect((await collect(narrow.bars.read({ symbol: "A", timeframe: "1h" }))).length).toBe(5);
    await narrow.close();
  });

  it("takes every spelling of a time, and refuses one without a zone, an unknown field and a wrong limit", async () => {
    const spelt = [new Date(Number(at(0) / 1_000n)), at(0), "2024-01-02T14:30:00Z", "2024-01-02T15:30:00+01:00"];
    for (const start of spelt)
      expect((await collect(store.bars.read({ symbol: "A", timeframe: "1m", start }))).length).toBe(100);
    const refused = (query: object) => collect(store.bars.read(query as never));
    await expect(refused({ start: "2024-01-02" })).rejects.toMatchObject({ code: "time_zone_missing" });
    await expect(refused({ symbols: "A" })).rejects.toMatchObject({ code: "usage" });
    await expect(refused({ limit: -1 })).rejects.toMatchObject({ code: "usage" });
    await expect(refused({ timeframe: "60" })).rejects.toMatchObject({ code: "timeframe_invalid" });
  });

  it("finds nothing for a symbol in another case, and series() can say so", async () => {
    await store.bars.upsert([bar(0, { symbol: "Mixed" })]);
    expect(await collect(store.bars.read({ symbol: "MIXED" }))).toEqual([]);
    expect(await store.bars.series({ symbol: "MIXED" }, { ignoreCase: true })).toMatchObject([{ symbol: "Mixed" }]);
  });
});

describe("readColumns", () => {
  it("holds the same values as read, with nulls told apart", async () => {
    await store.bars.upsert(
      manyBars(50, { symbol: "COLS" }).map((row, i) => ({ ...row, vwap: i % 2 === 0 ? null : 1.5, trade_count: i })),
    );
    const query = { symbol: ["COLS", "A"], timeframe: "1m" } as const;
    const rows = await collect(store.bars.read(query));
    const columns = await store.bars.readColumns(query);
    expect(columns.length).toBe(150);
    expect(columns.series.map((one) => one.symbol)).toEqual(["A", "COLS"]);
    for (const [i, row] of rows.entries()) {
      expect(columns.series[columns.seriesAt[i]!]!.symbol).toBe(row.symbol);
      expect(columns.times[i]).toBe(row.ts);
      expect(columns.values.close_price[i]).toBe(row.close_price);
      expect(columns.nulls.vwap[i] === 1 ? null : columns.values.vwap[i]).toBe(row.vwap);
      expect(columns.nulls.trade_count[i] === 1 ? null : columns.values.trade_count[i]).toBe(row.trade_count);
    }
  });

  it("grows past one page", async () => {
    const columns = await store.bars.readColumns({ symbol: "LONG" });
    expect(columns.length).toBe(25_000);
    expect(columns.times[24_999]).toBe(at(24_999));
  });
});

describe("latest", () => {
  const price = (symbol: string) => store.bars.latest({ symbols: [symbol] });
  const put = (symbol: string, timeframe: string, ts: string, close_price: number) =>
    store.bars.upsert([bar(0, { symbol, timeframe, ts, high_price: 1_000, close_price })]);

  it("is the close of the bar whose interval ends last, ties to the shortest timeframe", async () => {
    await put("ENDS", "1d", "2024-02-01T00:00:00Z", 101);
    await put("ENDS", "1m", "2024-02-01T15:00:00Z", 102);
    expect(await price("ENDS")).toMatchObject([{ price: 101, price_timestamp: us("2024-02-01T00:00:00Z") }]);
    await put("ENDS", "1m", "2024-02-01T23:59:00Z", 103);
    expect(await price("ENDS")).toMatchObject([{ price: 103, price_timestamp: us("2024-02-01T23:59:00Z") }]);
    await put("MONTH", "1mo", "2024-02-01T00:00:00Z", 104);
    await put("MONTH", "1d", "2024-02-28T00:00:00Z", 105);
    expect(await price("MONTH")).toMatchObject([{ price: 104 }]);
    await put("MONTH", "1d", "2024-02-29T00:00:00Z", 106);
    expect(await price("MONTH")).toMatchObject([{ price: 106 }]);
  });

  it("reaches back through partitions however far the last bar is", async () => {
    await put("OLD", "1d", "1998-01-02T00:00:00Z", 107);
    expect(await price("OLD")).toMatchObject([{ vendor: "test", symbol: "OLD", price: 107 }]);
  });

  it("finds the last bar of each of many series, wherever the others end", async () => {
    const now = BigInt(Date.now()) * 1_000n;
    const minutes = (count: number): bigint => BigInt(count) * 60_000_000n;
    // How long before now the newest bar of each series is.
    const ends: Record<string, (place: number) => bigint> = {
      together: () => minutes(1),
      spread: (place) => minutes(place * 17),
      "a few behind": (place) => minutes(place % 13 === 0 ? 60 * 24 * (5 + 4 * place) : 1),
      "most behind": (place) => minutes(place % 13 === 0 ? 1 : 60 * 24 * (5 + 4 * (place % 200))),
      "a few ahead": (place) => minutes(place % 13 === 0 ? -60 * 24 * 40 : 2),
      "all of them long ago": (place) => minutes(60 * 24 * 365 * (2 + (place % 3))),
    };
    for (const [vendor, endOf] of Object.entries(ends)) {
      const newest = Array.from({ length: 130 }, (_, place) => ({
        vendor,
        symbol: `MANY${String(place).padStart(3, "0")}`,
        ts: now - endOf(place),
        close_price: 99.5 + place / 100,
      }));
      const rows = newest.flatMap((row) => [
        bar(0, row),
        bar(0, { ...row, ts: row.ts - minutes(1), close_price: 101 }),
        bar(0, { ...row, ts: row.ts - minutes(60 * 24 * 70), close_price: 101 }),
      ]);
      expect(await store.bars.upsert(rows)).toMatchObject({ inserted: 390 });
      expect(await store.bars.latest({ vendors: [vendor] }), vendor).toEqual(
        newest.map(({ symbol, ts, close_price }) => ({ vendor, symbol, price: close_price, price_timestamp: ts })),
      );
    }
  });

  it("leaves out symbols without bars, and lists all where none is named", async () => {
    expect(await price("NONE")).toEqual([]);
    const all = await store.bars.latest({ vendors: ["test"] });
    expect(all.map((one) => one.symbol)).toEqual([...all.map((one) => one.symbol)].sort());
    expect(all.length).toBeGreaterThan(5);
  });

  it("is what the view says", async () => {
    await database.sql("select set_config('app.tenant_id', $1, false)", [store.tenantId]);
    const [row] = await database.sql<{ price: number }>("select price from mds.latest_prices where symbol = 'LONG'");
    expect(await price("LONG")).toMatchObject([{ price: row!.price }]);
  });

  it("is found whatever the session's way to write times and texts", async () => {
    await database.sql("select set_config('app.tenant_id', $1, false)", [store.tenantId]);
    const found = async () =>
      (await database.sql<{ symbol: string; price: number }>("select symbol, price from mds.latest_prices")).map(
        ({ symbol, price: close }) => `${symbol} ${close}`,
      );
    const expected = await found();
    for (const [style, zone, strings] of [
      ["SQL, DMY", "Asia/Kolkata", "on"],
      ["German", "America/Sao_Paulo", "on"],
      ["Postgres, MDY", "Asia/Shanghai", "off"],
    ]) {
      await database.sql("select set_config('datestyle', $1, false), set_config('timezone', $2, false)", [style, zone]);
      await database.sql("select set_config('standard_conforming_strings', $1, false)", [strings]);
      expect(await found()).toEqual(expected);
    }
    for (const name of ["datestyle", "timezone", "standard_conforming_strings"]) await database.sql(`reset ${name}`);
  });
});
