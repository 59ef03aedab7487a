/** What is newest: prices, signals, an option chain, and when each dataset was last heard of. */
import { withRetry } from "../database/retry.ts";
import { runInTenant, type TenantScope } from "../database/session.ts";
import type { JsonObject, TimeInput } from "../datasets/dataset.ts";
import type { OptionSnapshot } from "../datasets/options.ts";
import type { Signal } from "../datasets/signals.ts";
import { parseJsonText } from "../datasets/values/json-text.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { parseText } from "../datasets/values/text.ts";
import { formatTime } from "../datasets/values/time.ts";
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import { accepted, type ReadOptions, timeOf } from "./window.ts";

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

const LATEST = fieldsOf<LatestQuery>({ vendors: true, symbols: true });

/** In the order of vendor and symbol; a series without bars is not in it. */
export async function latestPrices(
  scope: TenantScope,
  query: LatestQuery,
  options: ReadOptions = {},
): Promise<LatestPrice[]> {
  requireFields("A query of latest prices", query, LATEST);
  return rowsOf(
    scope,
    `select vendor, symbol, price, ${micros("price_timestamp")} from mds.read_latest_prices($1::text[], $2::text[])`,
    [texts("vendors", query.vendors), texts("symbols", query.symbols)],
    options,
  );
}

export interface SignalQuery extends LatestQuery {
  readonly names?: readonly string[];
}

const SIGNALS = fieldsOf<SignalQuery>({ vendors: true, symbols: true, names: true });

/** The newest row of each signal, in the order of vendor, symbol and name. */
export async function latestSignals(
  scope: TenantScope,
  query: SignalQuery,
  options: ReadOptions = {},
): Promise<Signal[]> {
  requireFields("A query of latest signals", query, SIGNALS);
  const rows = await rowsOf<Omit<Signal, "metadata"> & { readonly metadata: string | null }>(
    scope,
    `select vendor, symbol, name, ${micros("ts")}, value, score, metadata::text
     from mds.read_latest_signals($1::text[], $2::text[], $3::text[])`,
    [texts("vendors", query.vendors), texts("symbols", query.symbols), texts("names", query.names)],
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
export async function summarizeSignals(
  scope: TenantScope,
  query: SignalQuery & { readonly start: TimeInput; readonly end: TimeInput },
  options: ReadOptions = {},
): Promise<SignalSummary[]> {
  requireFields("A summary of signals", query, [...SIGNALS, "start", "end"]);
  const { vendors, symbols, names, start, end } = query;
  return rowsOf(
    scope,
    `select vendor, symbol, name, count, last, ${micros("last_ts")}, mean, min, max
     from mds.summarize_signals($1::text[], $2::text[], $3::text[], $4::timestamptz, $5::timestamptz)`,
    [
      texts("vendors", vendors),
      texts("symbols", symbols),
      texts("names", names),
      timeText("start", start),
      timeText("end", end),
    ],
    options,
  );
}

export interface ChainQuery {
  readonly symbol: string;
  readonly vendors?: readonly string[];
  /** The moment at which the chain is looked at. */
  readonly at: TimeInput;
}

const CHAIN = fieldsOf<ChainQuery>({ symbol: true, vendors: true, at: true });

/**
 * All contracts of an underlying that had not expired at a moment, each with its newest snapshot not after it; in the
 * order of vendor, expiry, strike and type.
 */
export async function optionChain(
  scope: TenantScope,
  query: ChainQuery,
  options: ReadOptions = {},
): Promise<OptionSnapshot[]> {
  requireFields("A query of a chain", query, CHAIN);
  const symbol = accepted(parseText("symbol", query.symbol));
  return rowsOf(
    scope,
    `select vendor, symbol, expiry, option_type, strike, ${micros("ts")},
       bid, ask, last, iv, delta, gamma, theta, vega, rho, spot, oi, volume
     from mds.read_option_chain($1::text[], $2, $3::timestamptz)`,
    [texts("vendors", query.vendors), symbol, timeText("at", query.at)],
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
export async function freshness(scope: TenantScope, options: ReadOptions = {}): Promise<Freshness[]> {
  return rowsOf(scope, `select dataset, ${micros("latest")} from mds.data_freshness`, [], options);
}

/** A time column as microseconds since the epoch, exactly. */
export const micros = (column: string): string => `(extract(epoch from ${column}) * 1000000)::int8 as ${column}`;

/** A time as the text that the database reads. */
export const timeText = (name: string, time: TimeInput): string => formatTime(timeOf(name, time));

/** Null where any text will do. */
function texts(name: string, given: readonly string[] | undefined): readonly string[] | null {
  if (given === undefined) return null;
  if (Array.isArray(given) && given.every((one) => typeof one === "string")) return given;
  throw new StoreError("usage", `${name} is ${showValue(given)}; it must be an array of texts.`);
}

function rowsOf<Row>(scope: TenantScope, text: string, values: unknown[], options: ReadOptions): Promise<Row[]> {
  requireFields("A reading", options, ["signal"]);
  const { signal } = options;
  return withRetry(() => runInTenant<Row>(scope, { text, values }, signal), signal);
}
