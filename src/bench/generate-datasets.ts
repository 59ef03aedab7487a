/** Rows of the datasets besides bars, made up but of a likely shape, the same at every run. */
import type { FundamentalsInput } from "../datasets/fundamentals.ts";
import type { NewsInput } from "../datasets/news.ts";
import type { OptionInput } from "../datasets/options.ts";
import type { SignalInput } from "../datasets/signals.ts";

const DAY_US = 86_400_000_000n;
const MINUTE_US = 60_000_000n;
const START_US = BigInt(Date.UTC(2026, 0, 5, 14, 30)) * 1_000n;
const VENDOR = "generated";
/** Contracts, instruments. */
const SERIES = 500;

const at = (row: number, stepUs: bigint): bigint => START_US + BigInt(Math.floor(row / SERIES)) * stepUs;
const symbolOf = (row: number): string => `SIM${String(row % SERIES).padStart(3, "0")}`;

/** A chain of 500 contracts, snapshot by snapshot. */
export function* generateOptions(count: number): Generator<OptionInput> {
  for (let row = 0; row < count; row++) {
    const contract = row % SERIES;
    const bid = (contract % 97) + (row % 13) / 100;
    yield {
      vendor: VENDOR,
      symbol: "SIM",
      expiry: contract % 2 === 0 ? "2026-03-20" : "2026-06-19",
      option_type: contract % 4 < 2 ? "C" : "P",
      strike: 100 + Math.floor(contract / 4) * 2.5,
      ts: at(row, MINUTE_US),
      bid,
      ask: bid + 0.05,
      iv: 0.2 + (row % 31) / 1_000,
      delta: 0.5,
      spot: 250 + (row % 7) / 10,
      oi: row % 5_000,
    };
  }
}

/** Figures of 500 companies, day by day. */
export function* generateFundamentals(count: number): Generator<FundamentalsInput> {
  for (let row = 0; row < count; row++) {
    yield {
      vendor: VENDOR,
      symbol: symbolOf(row),
      asof: at(row, -DAY_US),
      total_assets: `${1_000_000 + row}.25`,
      net_income: `${row}.5`,
      eps: "1.530001",
      metrics: { employees: 100 + (row % 900) },
    };
  }
}

/** Articles, a few a minute. */
export function* generateNews(count: number): Generator<NewsInput> {
  for (let row = 0; row < count; row++) {
    yield {
      vendor: VENDOR,
      published_at: at(row * 100, MINUTE_US),
      symbol: symbolOf(row),
      title: `${symbolOf(row)} reports number ${row} of the many things that companies report`,
      url: `https://example.com/${row}`,
      sentiment_score: (row % 200) / 100 - 1,
      metadata: { section: "markets", words: row % 1_000 },
    };
  }
}

/** One signal of 500 instruments, minute by minute. */
export function* generateSignals(count: number): Generator<SignalInput> {
  for (let row = 0; row < count; row++) {
    yield {
      vendor: VENDOR,
      symbol: symbolOf(row),
      name: "momentum",
      ts: at(row, MINUTE_US),
      value: (row % 1_000) / 1_000,
      score: row % 3 === 0 ? null : 0.9,
      metadata: { window: 20 },
    };
  }
}
