/** Latest prices: for each vendor and symbol the close of the bar whose interval ends last. */
import { withRetry } from "../database/retry.ts";
import { runInTenant, type TenantScope } from "../database/session.ts";
import type { ReadOptions } from "./window.ts";

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
  const statement = {
    text: `select vendor, symbol, price, (extract(epoch from price_timestamp) * 1000000)::int8 as price_timestamp
           from mds.read_latest_prices($1::text[], $2::text[])`,
    values: [query.vendors ?? null, query.symbols ?? null],
  };
  return withRetry(() => runInTenant<LatestPrice>(scope, statement, options.signal), options.signal);
}
