/** Aggregates beside what a direct computation from the stored one-minute bars says. */
import { type AggregateRefresh, refreshAggregates } from "../../src/database/aggregates.ts";
import { openPool } from "../../src/database/pool.ts";
import type { AdminScope } from "../../src/database/tenants.ts";
import type { BarInput } from "../../src/datasets/bars.ts";
import { bar } from "./bars.ts";
import type { TestDatabase } from "./test-database.ts";

const AGGREGATES = { "5m": "5 minutes", "15m": "15 minutes", "1h": "1 hour", "1d": "1 day" } as const;
export type AggregateName = keyof typeof AGGREGATES;

/** What a job has for the administration's functions; close the pool when done. */
export function adminScope({ url }: Pick<TestDatabase, "url">): AdminScope & { close(): Promise<void> } {
  const pool = openPool({ url, applicationName: "test", maxConnections: 2, connectTimeoutMs: 5_000 });
  return { pool, timeoutMs: 30_000, close: () => pool.end() };
}

/** Brings all up to date. */
export async function refresh(database: Pick<TestDatabase, "url">): Promise<AggregateRefresh> {
  const scope = adminScope(database);
  try {
    return await refreshAggregates(scope);
  } finally {
    await scope.close();
  }
}

/** Buckets of an aggregate that are missing, wrong or too many, by a computation of one level from the bars; sums up to rounding. */
export async function wrongBuckets(
  { sql }: Pick<TestDatabase, "sql">,
  timeframe: AggregateName,
  where = "true",
): Promise<object[]> {
  const near = (left: string, right: string): string =>
    `(${left} is not distinct from ${right} or abs(${left} - ${right}) <= 1e-9 * greatest(abs(${left}), abs(${right})))`;
  return sql(
    `select coalesce(c.series_id, a.series_id) as series_id, coalesce(c.ts, a.ts)::text as ts, to_jsonb(c) as right, to_jsonb(a) as got
     from (
       select d.series_id, date_bin($1::interval, d.ts, '2000-01-01Z') as ts,
         (array_agg(d.open_price order by d.ts))[1] as open_price, max(d.high_price) as high_price,
         min(d.low_price) as low_price, (array_agg(d.close_price order by d.ts desc))[1] as close_price,
         sum(d.volume) as volume,
         case when bool_and(d.trade_count is not null) then sum(d.trade_count)::int8 end as trade_count,
         case when bool_and(d.volume = 0 or d.vwap is not null) and sum(d.volume) > 0
           then sum(d.vwap * d.volume) / sum(d.volume) end as vwap
       from store.bars_data d join store.bars_series s on s.series_id = d.series_id and s.timeframe = '1m'
       group by 1, 2
     ) c
     full join store.bars_${timeframe}_data a on a.series_id = c.series_id and a.ts = c.ts
     where (${where}) and not coalesce(
       (c.open_price, c.high_price, c.low_price, c.close_price, c.trade_count)
         is not distinct from (a.open_price, a.high_price, a.low_price, a.close_price, a.trade_count)
       and ${near("c.volume", "a.volume")} and ${near("c.vwap", "a.vwap")}, false)
     limit 5`,
    [AGGREGATES[timeframe]],
  );
}

/** The same of all aggregates, by name; empty lists when all is right. */
export async function allWrongBuckets(database: Pick<TestDatabase, "sql">): Promise<Record<string, object[]>> {
  const wrong: Record<string, object[]> = {};
  for (const name of Object.keys(AGGREGATES) as AggregateName[]) wrong[name] = await wrongBuckets(database, name);
  return wrong;
}

export const NONE_WRONG: Readonly<Record<string, object[]>> = { "5m": [], "15m": [], "1h": [], "1d": [] };

/** A bar at a time, possible whatever its price is. */
export function barAt(ts: string, fields: Partial<BarInput> = {}): BarInput {
  const price = Number(fields.open_price ?? 10);
  const prices = { open_price: price, high_price: price + 5, low_price: price - 5, close_price: price + 1 };
  return bar(0, { ts, ...prices, ...fields });
}

/** The values of the bucket that starts then; undefined where there is none. */
export async function bucket(
  { sql }: Pick<TestDatabase, "sql">,
  timeframe: AggregateName,
  ts: string,
): Promise<object | undefined> {
  const [row] = await sql(
    `select open_price, high_price, low_price, close_price, volume, trade_count::int4, vwap
     from store.bars_${timeframe}_data where ts = $1`,
    [ts],
  );
  return row;
}

/** Takes away all bars, their aggregates and the marks. */
export async function emptyBars({ sql }: Pick<TestDatabase, "sql">): Promise<void> {
  const tables = ["bars_data", "bars_5m_data", "bars_15m_data", "bars_1h_data", "bars_1d_data", "bars_dirty"];
  await sql(`truncate ${tables.map((name) => `store.${name}`).join(", ")}`);
}
