/** Bars, with what only bars have: latest prices. */
import type { TenantScope } from "../database/session.ts";
import { bars } from "../datasets/bars.ts";
import { DatasetClient } from "./dataset-client.ts";
import { type LatestPrice, type LatestQuery, latestPrices } from "./latest.ts";
import type { ReadOptions } from "./window.ts";

export class BarsClient extends DatasetClient<typeof bars> {
  readonly #scope: TenantScope;

  constructor(scope: TenantScope) {
    super(scope, bars);
    this.#scope = scope;
  }

  /** The close of the newest bar of each vendor and symbol, whatever its timeframe. */
  latest(query: LatestQuery = {}, options?: ReadOptions): Promise<LatestPrice[]> {
    return latestPrices(this.#scope, query, options);
  }
}
