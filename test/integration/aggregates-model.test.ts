/** Whatever is written, corrected, moved and deleted, in whatever order and at once: aggregates end as the bars say. */
import fc from "fast-check";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { BarInput } from "../../src/datasets/bars.ts";
import { adminScope, allWrongBuckets, NONE_WRONG, refresh } from "../support/aggregates.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const SYMBOLS = ["A", "B", "C"];
/** Some hours on both sides of a month's end, of which it is also a day's and an hour's. */
const START_MS = Date.UTC(2024, 1, 29, 21);
const MINUTES = 360;

let database: TestDatabase;
let store: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
  const first = { volume: 1, trade_count: 1, vwap: 1 };
  // Makes series, partitions and aggregates' partitions, which owners that move rows by hand need.
  await store.bars.upsert(SYMBOLS.flatMap((_, series) => [rowOf(series, 0, first), rowOf(series, MINUTES - 1, first)]));
  await refresh(database);
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

interface Values {
  readonly volume: number;
  readonly trade_count: number | null;
  readonly vwap: number | null;
}

const timeOf = (minute: number): Date => new Date(START_MS + minute * 60_000);

function rowOf(series: number, minute: number, values: Values): BarInput {
  const open = 100 + ((minute * 7 + values.volume) % 50);
  const prices = { open_price: open, high_price: open + 3, low_price: open - 2, close_price: open + 1 };
  return { vendor: "v", symbol: SYMBOLS[series]!, timeframe: "1m", ts: timeOf(minute), ...prices, ...values };
}

const series = fc.integer({ min: 0, max: SYMBOLS.length - 1 });
const minute = fc.integer({ min: 0, max: MINUTES - 1 });
const values = fc.record({
  volume: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1_000 })),
  trade_count: fc.option(fc.integer({ min: 0, max: 9 }), { freq: 8 }),
  vwap: fc.option(fc.double({ min: 90, max: 110, noNaN: true }), { freq: 8 }),
});
const stretch = fc.tuple(series, minute, fc.integer({ min: 1, max: 90 }));

const step = fc.oneof(
  fc.record({
    kind: fc.constant("scattered" as const),
    rows: fc.array(fc.tuple(series, minute, values), { maxLength: 30 }),
  }),
  fc.record({ kind: fc.constant("stretch" as const), stretch, values }),
  fc.record({ kind: fc.constant("volumes" as const), stretch, volume: fc.integer({ min: 0, max: 50 }) }),
  fc.record({ kind: fc.constant("delete" as const), stretch }),
  fc.record({ kind: fc.constant("change" as const), stretch }),
  fc.record({ kind: fc.constant("move" as const), stretch }),
  fc.record({ kind: fc.constant("refresh" as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const IN_STRETCH = `series_id = (select series_id from store.bars_series where symbol = $1) and ts >= $2 and ts < $3`;

async function run(one: Step): Promise<void> {
  switch (one.kind) {
    case "refresh":
      await refresh(database);
      return;
    case "scattered":
      await stored(one.rows.map(([at, when, what]) => rowOf(at, when, what)));
      return;
    case "stretch":
      await stored(minutesOf(one.stretch).map((when) => rowOf(one.stretch[0], when, one.values)));
      return;
    case "volumes":
      // Without prices: rows that are there get another volume, the others are rejected.
      await store.bars.upsert(
        minutesOf(one.stretch).map((when) => ({
          vendor: "v",
          symbol: SYMBOLS[one.stretch[0]]!,
          timeframe: "1m",
          ts: timeOf(when),
          volume: one.volume,
        })),
      );
      return;
    case "delete":
      await database.sql(`delete from store.bars_data where ${IN_STRETCH}`, boundsOf(one.stretch));
      return;
    case "change":
      await database.sql(
        `update store.bars_data set close_price = low_price where ${IN_STRETCH}`,
        boundsOf(one.stretch),
      );
      return;
    case "move":
      await database.sql(
        `update store.bars_data d set ts = d.ts + interval '30 seconds' where ${IN_STRETCH} and extract(second from ts) = 0
           and not exists (select from store.bars_data o where o.series_id = d.series_id and o.ts = d.ts + interval '30 seconds')`,
        boundsOf(one.stretch),
      );
      return;
    default:
      one satisfies never;
  }
}

const minutesOf = ([, from, count]: readonly [number, number, number]): number[] =>
  Array.from({ length: Math.min(count, MINUTES - from) }, (_, at) => from + at);
const boundsOf = ([at, from, count]: readonly [number, number, number]): unknown[] => [
  SYMBOLS[at],
  timeOf(from),
  timeOf(Math.min(from + count, MINUTES)),
];

async function stored(rows: BarInput[]): Promise<void> {
  expect((await store.bars.upsert(rows)).rejections).toEqual([]);
}

describe("aggregates", () => {
  it("are what a direct computation says after any writes, corrections, moves, deletions and refreshes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        await database.sql("delete from store.bars_data");
        for (const one of steps) await run(one);
        await refresh(database);
        expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
      }),
      { numRuns: 60 },
    );
  });

  it("lose nothing that is written, corrected and deleted while two refreshers work", async () => {
    let working = 4;
    const sampled = fc.sample(fc.array(step, { minLength: 400, maxLength: 400 }), { numRuns: 3, seed: 7 });
    const writer = async (steps: readonly Step[]): Promise<void> => {
      for (const one of steps) if (one.kind === "scattered" || one.kind === "stretch") await run(one);
      working--;
    };
    const owner = async (): Promise<void> => {
      // Transactions of several statements, whose marks are written long before they are committed.
      const client = new pg.Client({ connectionString: database.adminUrl });
      await client.connect();
      for (let round = 0; round < 300; round++) {
        const symbol = SYMBOLS[round % SYMBOLS.length];
        try {
          await client.query("begin");
          const all = [symbol, timeOf(0), timeOf(200)];
          await client.query(`update store.bars_data set volume = volume + 1 where ${IN_STRETCH}`, all);
          const some = [symbol, timeOf(round), timeOf(round + 20)];
          await client.query(`delete from store.bars_data where ${IN_STRETCH}`, some);
          await client.query(round % 5 === 0 ? "rollback" : "commit");
        } catch (error) {
          // Statements by hand lock rows in another order than batches do.
          expect((error as { code: string }).code).toBe("40P01");
          await client.query("rollback");
        }
      }
      await client.end();
      working--;
    };
    let refreshes = 0;
    const refresher = async (): Promise<void> => {
      const scope = adminScope(database);
      while (working > 0) {
        await scope.pool.query("select mds.refresh_aggregates('bars', null, 1000)");
        refreshes++;
      }
      await scope.close();
    };
    await Promise.all([...sampled.map(writer), owner(), refresher(), refresher()]);
    expect(refreshes).toBeGreaterThan(10);
    await refresh(database);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  });
});
