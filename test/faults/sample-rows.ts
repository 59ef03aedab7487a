/**
 * The rows that the laboratory writes. Each is a function of its facts, so that the facts alone need to be noted: key,
 * version, and what is wrong with it, if anything. Versions grow over the whole run, and every value column tells the
 * version, so a stored row that mixes two of them shows.
 */
import { type DatasetName, datasetNamed } from "../../src/datasets/registry.ts";

export const DATASET_ORDER = ["bars", "signals", "news", "options", "fundamentals"] as const satisfies DatasetName[];

/** What is wrong with a row: nothing; no dataset can hold it; only the database refuses its value. */
export const POISON = { none: 0, invalid: 1, refused: 2 } as const;

/** One row: dataset, tenant, series and moment (its key), version, and poison; places in lists and minutes. */
export type RowFacts = readonly [
  dataset: number,
  tenant: number,
  series: number,
  minute: number,
  version: number,
  poison: number,
];

/** The value that a constraint of the laboratory's database refuses; see `refusalSql`. */
const REFUSED = 0.666;
const EPOCH_MS = Date.UTC(2024, 0, 1);

/** Text by which rows of one key are found again. */
export function keyOf([dataset, tenant, series, minute]: RowFacts): string {
  return `${dataset}/${tenant}/${series}/${minute}`;
}

/** The row as a producer brings it. */
export function sampleRow(facts: RowFacts): Record<string, unknown> {
  const [dataset, , series, minute, v, poison] = facts;
  const ts = new Date(EPOCH_MS + minute * 60_000);
  const isInvalid = poison === POISON.invalid;
  const mark = poison === POISON.refused ? REFUSED : v;
  const symbol = `S${series}`;
  switch (DATASET_ORDER[dataset]) {
    case "bars":
      return {
        ...{ vendor: "faults", symbol, timeframe: "1m", ts },
        ...{ open_price: v + 0.25, high_price: v + 1, low_price: isInvalid ? v + 9 : v - 1, close_price: v + 0.5 },
        ...{ volume: v, trade_count: v, vwap: mark },
      };
    case "signals":
      return {
        ...{ vendor: "faults", symbol, name: "n", ts },
        ...{ value: isInvalid ? "none" : mark, score: -v, metadata: { v } },
      };
    case "news":
      return {
        ...{ vendor: "faults", published_at: ts, symbol, url: `u${series}`, ...(!isInvalid && { title: "t" }) },
        ...{ sentiment_score: poison === POISON.refused ? REFUSED : 0.5, metadata: { v } },
      };
    case "options":
      return {
        ...{ vendor: "faults", symbol, expiry: "2030-01-18", option_type: "C", strike: 100, ts },
        ...{ bid: v, ask: v + 1, rho: mark, oi: isInvalid ? -1 : v, volume: BigInt(v) },
      };
    default:
      return {
        ...{ vendor: "faults", symbol, asof: ts, total_assets: v, total_liabilities: `${v}.25` },
        ...{ eps: isInvalid ? 1e20 : poison === POISON.refused ? REFUSED : 1, metrics: { v } },
      };
  }
}

/** Version of a row that came back, from a field that no poison touches. */
export function versionOf(dataset: DatasetName, row: unknown): number {
  const values = row as Record<string, unknown> & { metadata?: { v: number }; metrics?: { v: number } };
  if (dataset === "bars") return Number(values["trade_count"]);
  if (dataset === "options") return Number(values["volume"]);
  return Number((dataset === "fundamentals" ? values.metrics : values.metadata)?.v);
}

/** Makes the database refuse poisoned rows. */
export const refusalSql: readonly string[] = Object.entries({
  bars: "vwap",
  signals: "value",
  news: "sentiment_score",
  options: "rho",
  fundamentals: "eps",
}).map(([name, column]) => `alter table store.${name}_data add constraint made_up check (${column} <> ${REFUSED})`);

const WHOLE: Readonly<Record<(typeof DATASET_ORDER)[number], readonly [version: string, isWhole: string]>> = {
  bars: [
    "trade_count",
    "volume = trade_count and vwap = trade_count and open_price = volume + 0.25 and high_price = volume + 1 and low_price = volume - 1 and close_price = volume + 0.5",
  ],
  signals: ["(d.metadata ->> 'v')::int8", "value = (d.metadata ->> 'v')::int8 and score = -value"],
  news: ["(d.metadata ->> 'v')::int8", "sentiment_score = 0.5 and title = 't' and url = 'u' || substr(d.symbol, 2)"],
  options: ["volume", "bid = volume and ask = volume + 1 and rho = volume and oi = volume"],
  fundamentals: [
    "(metrics ->> 'v')::int8",
    "total_assets = (metrics ->> 'v')::int8 and total_liabilities = total_assets + 0.25 and eps = 1",
  ],
};

/** A stored row, as `storedSql` gives it. */
export interface StoredRow {
  readonly tenant_id: string;
  readonly series: number;
  readonly minute: number;
  readonly version: number;
  readonly is_whole: boolean;
}

/** All stored rows of a dataset whose minute is before $1 or from $2 on. */
export function storedSql(dataset: (typeof DATASET_ORDER)[number]): string {
  const time = datasetNamed(dataset).time.name;
  const symbol = dataset === "news" ? "d.symbol" : "s.symbol";
  const [version, isWhole] = WHOLE[dataset];
  return `select s.tenant_id::text, substr(${symbol}, 2)::int4 as series, minute, (${version})::float8 as version,
      coalesce(${isWhole}, false) as is_whole
    from store.${dataset}_data d join store.${dataset}_series s using (series_id)
    cross join lateral (select ((extract(epoch from d.${time}) * 1000 - ${EPOCH_MS}) / 60000)::float8 as minute) m
    where minute < $1 or minute >= $2`;
}
