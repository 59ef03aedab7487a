/** What is newest: prices, signals, an option chain, and when each dataset was last heard of. */
import { withRetry } from "../database/retry.ts";
import { runInTenant, type TenantScope } from "../database/session.ts";
import type { JsonObject, TimeInput } from "../datasets/dataset.ts";
import type { OptionSnapshot } from "../datasets/options.ts";
import type { Signal } from "../datasets/signals.ts";
import { parseJsonText } from "../datasets/values/json-text.ts";
import { formatTime } from "../datasets/values/time.ts";
import { type ReadOptions, timeOf } from "./window.ts";

export interface LatestPrice {
  readonly vendor: string;
  readonly symbol: string;
  /** Close of the bar. */
  readonly price: number;
  /** Start of the bar's interval, microseconds since the epoch. */
  readonly price_timestamp: bigint;
}

export interface LatestQuery {
  readonly vendors?: readonly string[];
  readonly symbols?: readonly string[];
}

/** In the order of vendor and symbol; a series without bars is not in it. */
export function latestPrices(
  scope: TenantScope,
  query: LatestQuery,
  options: ReadOptions = {},
): Promise<LatestPrice[]> {
  return rowsOf(
    scope,
    `select vendor, symbol, price, ${micros("price_timestamp")} from mds.read_latest_prices($1::text[], $2::text[])`,
    [query.vendors ?? null, query.symbols ?? null],
    options,
  );
}

export interface SignalQuery extends LatestQuery {
  readonly names?: readonly string[];
}

/** The newest row of each signal, in the order of vendor, symbol and name. */
export async function latestSignals(
  scope: TenantScope,
  query: SignalQuery,
  options: ReadOptions = {},
): Promise<Signal[]> {
  const rows = await rowsOf<Omit<Signal, "metadata"> & { readonly metadata: string | null }>(
    scope,
    `select vendor, symbol, name, ${micros("ts")}, value, score, metadata::text
     from mds.read_latest_signals($1::text[], $2::text[], $3::text[])`,
    [query.vendors ?? null, query.symbols ?? null, query.names ?? null],
    options,
  );
  return rows.map((row) => ({
    ...row,
    metadata: row.metadata === null ? null : (parseJsonText(row.metadata) as JsonObject),
  }));
}

/** A signal's values in a window. */
export interface SignalSummary {
  readonly vendor: string;
  readonly symbol: string;
  readonly name: string;
  readonly count: bigint;
  /** The newest value, and its time in microseconds since the epoch. */
  readonly last: number;
  readonly last_ts: bigint;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
}

/** Signals with at least one value in the half-open window. */
export function summarizeSignals(
  scope: TenantScope,
  query: SignalQuery & { readonly start: TimeInput; readonly end: TimeInput },
  options: ReadOptions = {},
): Promise<SignalSummary[]> {
  const { vendors = null, symbols = null, names = null } = query;
  return rowsOf(
    scope,
    `select vendor, symbol, name, count, last, ${micros("last_ts")}, mean, min, max
     from mds.summarize_signals($1::text[], $2::text[], $3::text[], $4::timestamptz, $5::timestamptz)`,
    [vendors, symbols, names, timeText("start", query.start), timeText("end", query.end)],
    options,
  );
}

export interface ChainQuery {
  readonly symbol: string;
  readonly vendors?: readonly string[];
  /** The moment at which the chain is looked at. */
  readonly at: TimeInput;
}

/**
 * All contracts of an underlying that had not expired at a moment, each with its newest snapshot not after it; in the
 * order of vendor, expiry, strike and type.
 */
export function optionChain(
  scope: TenantScope,
  query: ChainQuery,
  options: ReadOptions = {},
): Promise<OptionSnapshot[]> {
  return rowsOf(
    scope,
    `select vendor, symbol, expiry, option_type, strike, ${micros("ts")},
       bid, ask, last, iv, delta, gamma, theta, vega, rho, spot, oi, volume
     from mds.read_option_chain($1::text[], $2, $3::timestamptz)`,
    [query.vendors ?? null, query.symbol, timeText("at", query.at)],
    options,
  );
}

/** When a dataset was last heard of. */
export interface Freshness {
  readonly dataset: string;
  /** Newest time, microseconds since the epoch; null where the tenant has no rows. */
  readonly latest: bigint | null;
}

/** The newest time of each dataset. */
export function freshness(scope: TenantScope, options: ReadOptions = {}): Promise<Freshness[]> {
  return rowsOf(scope, `select dataset, ${micros("latest")} from mds.data_freshness`, [], options);
}

/** A time column as microseconds since the epoch, exactly. */
export const micros = (column: string): string => `(extract(epoch from ${column}) * 1000000)::int8 as ${column}`;

/** A time as the text that the database reads. */
export const timeText = (name: string, time: TimeInput): string => formatTime(timeOf(name, time));

function rowsOf<Row>(scope: TenantScope, text: string, values: unknown[], { signal }: ReadOptions): Promise<Row[]> {
  return withRetry(() => runInTenant<Row>(scope, { text, values }, signal), signal);
}
