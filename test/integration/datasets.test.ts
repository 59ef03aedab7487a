import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { collect } from "../support/bars.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

const us = (iso: string): bigint => BigInt(Date.parse(iso)) * 1_000n;

describe("options", () => {
  const contract = { vendor: "lean", symbol: "AAPL", expiry: "2014-06-21", option_type: "C", strike: "492.5" };
  const snapshot = { ...contract, ts: "2014-06-06T20:00:00Z", bid: 153.2, ask: 153.9, oi: 12, iv: 1.5e2 };

  it("are upserted, kept where equal, and read back", async () => {
    expect(await store.options.upsert([snapshot])).toMatchObject({ inserted: 1 });
    expect(await store.options.upsert([{ ...snapshot, option_type: "call", strike: 492.5 }])).toMatchObject({
      unchanged: 1,
    });
    expect(await collect(store.options.read({ symbol: "AAPL" }))).toEqual([
      {
        ...contract,
        ts: us("2014-06-06T20:00:00Z"),
        bid: 153.2,
        ask: 153.9,
        last: null,
        iv: 150,
        delta: null,
        gamma: null,
        theta: null,
        vega: null,
        rho: null,
        spot: null,
        oi: 12n,
        volume: null,
      },
    ]);
  });

  it("R8 keep a strike to six decimal places and reject more, and take any volatility", async () => {
    const strikes = ["0.000001", "492.123456", "999999999999.999999", 1e-6];
    const rows = strikes.map((strike, at) => ({
      ...snapshot,
      symbol: "STRIKE",
      strike,
      ts: us("2024-01-02T00:00:00Z") + BigInt(at),
      iv: 1234.5,
    }));
    expect(await store.options.upsert(rows)).toMatchObject({ inserted: 4, rejected: 0 });
    const strikesBack = new Set((await collect(store.options.read({ symbol: "STRIKE" }))).map((row) => row.strike));
    expect(strikesBack).toEqual(new Set(["0.000001", "492.123456", "999999999999.999999"]));
    const refused = await store.options.upsert([
      { ...snapshot, strike: "492.1234567" },
      { ...snapshot, strike: "1000000000000" },
      { ...snapshot, strike: 0 },
      { ...snapshot, expiry: "2014-02-30" },
      { ...snapshot, option_type: "X" },
      { ...contract, ts: snapshot.ts },
    ]);
    expect(refused.rejections.map(({ code }) => code)).toEqual([
      "number_not_exact",
      "number_out_of_range",
      "number_out_of_range",
      "time_invalid",
      "field_invalid",
      "field_missing",
    ]);
  });

  it("can be asked for by any spelling of a dimension", async () => {
    expect(await store.options.series({ strike: "492.50", option_type: "call", expiry: "2014-06-21" })).toHaveLength(1);
  });
});

describe("an option chain", () => {
  it("is each contract's newest snapshot not after a moment, without those that had expired", async () => {
    const of = (strike: number, ts: string, bid: number, expiry = "2024-06-21") => ({
      vendor: "lean",
      symbol: "CHAIN",
      expiry,
      option_type: "P",
      strike,
      ts,
      bid,
    });
    await store.options.upsert([
      of(9, "2023-01-03T15:00:00Z", 1),
      of(10, "2024-05-01T15:00:00Z", 2),
      of(10, "2024-05-02T15:00:00Z", 3),
      of(10, "2024-05-03T15:00:00Z", 4),
      of(11, "2024-05-01T15:00:00Z", 5, "2024-05-01"),
      of(12, "2024-05-03T15:00:00Z", 6),
    ]);
    const chain = async (at: string) =>
      (await store.options.chain({ symbol: "CHAIN", at })).map(({ strike, bid }) => [strike, bid]);
    expect(await chain("2024-05-02T15:00:00Z")).toEqual([
      ["9", 1],
      ["10", 3],
    ]);
    expect(await chain("2024-05-01T23:00:00Z")).toEqual([
      ["11", 5],
      ["9", 1],
      ["10", 2],
    ]);
    expect(await chain("2022-01-01T00:00:00Z")).toEqual([]);
  });
});

describe("fundamentals", () => {
  const key = { vendor: "v", symbol: "AAPL", asof: "2024-03-30T00:00:00Z" };

  it("keep every digit of 25, and JSON metrics with all of theirs", async () => {
    const row = {
      ...key,
      total_assets: "12345678901234567890123.45",
      net_income: -1.5,
      eps: "1.530001",
      metrics: '{"shares": 15334082000.000000000001, "note": "a \\"quoted\\" one"}',
    };
    expect(await store.fundamentals.upsert([row])).toMatchObject({ inserted: 1 });
    expect(await store.fundamentals.upsert([{ ...row, total_assets: "12345678901234567890123.450" }])).toMatchObject({
      unchanged: 1,
    });
    expect(await collect(store.fundamentals.read({ symbol: "AAPL" }))).toMatchObject([
      { total_assets: "12345678901234567890123.45", total_liabilities: null, net_income: "-1.5", eps: "1.530001" },
    ]);
    const [stored] = await database.sql<{ shares: string }>(
      "select metrics ->> 'shares' as shares from store.fundamentals_data",
    );
    expect(stored!.shares).toBe("15334082000.000000000001");
  });

  it("R8 reject what numeric(25,2) would round", async () => {
    const result = await store.fundamentals.upsert([
      { ...key, total_assets: "1.005" },
      { ...key, eps: "123456789.5" },
    ]);
    expect(result.rejections.map(({ code }) => code)).toEqual(["number_not_exact", "number_out_of_range"]);
  });

  it("R8 refuse in the database, too, what a cast would round", async () => {
    await database.sql("select set_config('app.tenant_id', $1, false)", [store.tenantId]);
    const [series] = await database.sql<{ id: number }>(
      "select mds.ensure_fundamentals_series(array['v'], array['AAPL']) as id",
    );
    const upsert = database.sql(
      "select * from mds.upsert_fundamentals($1, array['2024-03-30Z'::timestamptz], array[1.005], null, null, null, null)",
      [series!.id],
    );
    await expect(upsert).rejects.toMatchObject({ code: "22003" });
  });
});

describe("news", () => {
  const item = {
    vendor: "wire",
    published_at: "2024-05-01T12:00:00Z",
    symbol: "AAPL",
    title: "Up",
    url: "https://x/1",
  };

  it("R11 are idempotent: the key is vendor, time and what the article is", async () => {
    expect(await store.news.upsert([item])).toMatchObject({ inserted: 1 });
    expect(await store.news.upsert([item])).toMatchObject({ unchanged: 1 });
    expect(await store.news.upsert([{ ...item, sentiment_score: 0.5 }])).toMatchObject({ updated: 1 });
    const { symbol: _, ...general } = item;
    expect(
      await store.news.upsert([general, { ...item, symbol: null as never }, { ...item, url: "https://x/2" }]),
    ).toMatchObject({
      inserted: 2,
      superseded: 1,
    });
    const rows = await collect(store.news.read({ vendor: "wire" }));
    expect(rows.map((row) => row.symbol)).toEqual(expect.arrayContaining(["AAPL", "AAPL", null]));
    expect(rows).toHaveLength(3);
  });

  it("fold an article that comes twice among others of the same moment", async () => {
    const article = (url: string, sentiment_score: number) => ({ ...item, vendor: "crowd", url, sentiment_score });
    const rows = ["b", "a", "c", "a", "b", "a"].map((url, at) => article(url, at / 10));
    expect(await store.news.upsert(rows)).toMatchObject({ inserted: 3, superseded: 3 });
    const stored = await collect(store.news.read({ vendor: "crowd" }));
    expect(Object.fromEntries(stored.map(({ url, sentiment_score }) => [url, sentiment_score]))).toEqual({
      a: 0.5,
      b: 0.4,
      c: 0.2,
    });
  });

  it("cannot be confused by where one text ends and the next begins", async () => {
    const base = { vendor: "edges", published_at: item.published_at };
    const rows = [
      { ...base, symbol: "A", title: "BC", url: "D" },
      { ...base, symbol: "AB", title: "C", url: "D" },
      { ...base, symbol: "", title: "ABC", url: "D" },
      { ...base, title: "ABC", url: "D" },
    ];
    expect(await store.news.upsert(rows)).toMatchObject({ inserted: 4 });
  });

  it("of one moment are all read, page after page, in both directions", async () => {
    const rows = Array.from({ length: 25_000 }, (_, at) => ({
      vendor: "burst",
      published_at: at < 24_000 ? "2024-05-01T12:00:00Z" : "2024-05-01T12:00:01Z",
      title: `Headline ${at}`,
      url: "u",
    }));
    expect(await store.news.upsert(rows)).toMatchObject({ inserted: 25_000 });
    for (const newestFirst of [false, true]) {
      const titles = (await collect(store.news.read({ vendor: "burst", newestFirst }))).map((row) => row.title);
      expect(titles.length).toBe(25_000);
      expect(new Set(titles).size).toBe(25_000);
    }
    expect(await collect(store.news.read({ vendor: "burst", end: "2024-05-01T12:00:00Z" }))).toEqual([]);
  });

  it("reject a sentiment outside -1 to 1, text with NUL, and an article without a title", async () => {
    const result = await store.news.upsert([
      { ...item, sentiment_score: 1.01 },
      { ...item, title: "a\u0000b" },
      { ...item, title: "\ud800" },
      { ...item, title: undefined as never },
      { ...item, metadata: [] as never },
      { ...item, metadata: "[1]" },
      { ...item, metadata: { deep: { when: new Date(0) } } },
      { ...item, metadata: { bad: Number.NaN } },
      { ...item, metadata: { nul: "\u0000" } },
      { ...item, metadata: '{"n": 1e9999}' },
    ]);
    expect(result.rejections.map(({ code }) => code)).toEqual([
      "number_out_of_range",
      "nul_in_text",
      "text_invalid",
      "field_missing",
      "json_invalid",
      "json_invalid",
      "json_invalid",
      "json_invalid",
      "nul_in_text",
      "number_out_of_range",
    ]);
  });
});

describe("signals", () => {
  const signal = { vendor: "model", symbol: "AAPL", name: "momentum", ts: "2024-05-01T00:00:00Z", value: 0.25 };

  it("R15 keep metadata, and replace it whole", async () => {
    expect(
      await store.signals.upsert([{ ...signal, metadata: { window: 20, tags: ["a", null, { b: true }] } }]),
    ).toMatchObject({ inserted: 1 });
    expect(
      await store.signals.upsert([{ ...signal, metadata: { tags: ["a", null, { b: true }], window: 20.0 } }]),
    ).toMatchObject({ unchanged: 1 });
    expect(await store.signals.upsert([{ ...signal, metadata: { other: 1 } }])).toMatchObject({ updated: 1 });
    expect(await collect(store.signals.read({ name: "momentum" }))).toMatchObject([
      { value: 0.25, score: null, metadata: { other: 1 } },
    ]);
  });

  it("R14 an absent field stays, an explicit null clears", async () => {
    await store.signals.upsert([{ ...signal, name: "keep", score: 1, metadata: { a: 1 } }]);
    const { value: _, ...key } = { ...signal, name: "keep" };
    await store.signals.upsert([{ ...key, score: null }]);
    expect(await collect(store.signals.read({ name: "keep" }))).toMatchObject([
      { value: 0.25, score: null, metadata: { a: 1 } },
    ]);
    await store.signals.upsert([{ ...key, metadata: null }]);
    expect(await collect(store.signals.read({ name: "keep" }))).toMatchObject([{ metadata: null }]);
  });

  it("have a newest value each, and a summary of a window", async () => {
    const of = (ts: string, value: number) => ({ ...signal, name: "stats", ts, value });
    await store.signals.upsert([
      of("2019-01-01T00:00:00Z", 9),
      of("2024-01-01T00:00:00Z", 1),
      of("2024-01-02T00:00:00Z", 4),
    ]);
    expect(await store.signals.latest({ names: ["stats"] })).toMatchObject([
      { value: 4, ts: us("2024-01-02T00:00:00Z") },
    ]);
    const window = { names: ["stats"], start: "2024-01-01T00:00:00Z", end: "2024-01-03T00:00:00Z" };
    expect(await store.signals.summary(window)).toMatchObject([{ count: 2n, last: 4, mean: 2.5, min: 1, max: 4 }]);
    expect(await store.signals.summary({ ...window, end: "2024-01-01T00:00:00Z" })).toEqual([]);
  });

  it("come as columns", async () => {
    const columns = await store.signals.readColumns({ name: "momentum" });
    expect([...columns.values.value]).toEqual([0.25]);
    expect(columns.values.metadata).toEqual(['{"other": 1}']);
    expect([...columns.nulls.score]).toEqual([1]);
  });
});

it("a snapshot sees all datasets as they were at one moment", async () => {
  const snapshot = await store.snapshot();
  const before = await collect(snapshot.read(store.signals.dataset, {}));
  await store.signals.upsert([{ vendor: "later", symbol: "S", name: "n", ts: "2024-01-01T00:00:00Z", value: 1 }]);
  await store.news.upsert([{ vendor: "later", published_at: "2024-01-01T00:00:00Z", title: "t", url: "u" }]);
  expect(await collect(snapshot.read(store.news.dataset, { vendor: "later" }))).toEqual([]);
  expect(await collect(snapshot.read(store.signals.dataset, {}))).toEqual(before);
  await snapshot.close();
  expect(await collect(store.news.read({ vendor: "later" }))).toHaveLength(1);
});

it("JSON may be read as text, which keeps every digit", async () => {
  const metadata = '{"exact": 0.1234567890123456789012345}';
  await store.signals.upsert([
    { vendor: "digits", symbol: "S", name: "n", ts: "2024-01-01T00:00:00Z", value: 1, metadata },
  ]);
  expect(await collect(store.signals.read({ vendor: "digits" }, { jsonAsText: true }))).toMatchObject([{ metadata }]);
});

it("freshness tells the newest time of each dataset", async () => {
  const latest = new Map((await store.freshness()).map((one) => [one.dataset, one.latest]));
  expect([...latest.keys()]).toEqual(["bars", "options", "fundamentals", "news", "signals"]);
  expect(latest.get("bars")).toBeNull();
  expect(latest.get("fundamentals")).toBe(us("2024-03-30T00:00:00Z"));
});

it("hostile text of any kind comes back as it was", async () => {
  const text = fc.string({ unit: "binary", maxLength: 40 }).filter((one) => !one.includes("\0") && one.isWellFormed());
  const json = fc.dictionary(text, fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(text)));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ title: text, url: text, symbol: fc.option(text), metadata: json }), { maxLength: 20 }),
      async (items) => {
        const vendor = `hostile-${Math.random()}`;
        const rows = items.map((one, at) => ({
          ...one,
          vendor,
          published_at: us("2024-06-01T00:00:00Z") + BigInt(at),
        }));
        expect(await store.news.upsert(rows as never)).toMatchObject({ inserted: rows.length });
        const back = await collect(store.news.read({ vendor }));
        expect(back.map(({ title, url, symbol }) => ({ title, url, symbol }))).toEqual(
          items.map(({ title, url, symbol }) => ({ title, url, symbol })),
        );
        expect(back.map((row) => row.metadata)).toEqual(items.map((one) => one.metadata));
      },
    ),
    { numRuns: 40 },
  );
});
