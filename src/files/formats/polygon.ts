/** Polygon's (Massive's) flat files of aggregates. */
import type { NamedFormat } from "./named-format.ts";

export const polygon: NamedFormat = {
  name: "polygon",
  dataset: "bars",
  description:
    "Flat files of Polygon (now Massive), `minute_aggs_v1` and `day_aggs_v1` of stocks, options, forex and crypto: CSV with a header, mostly gzip.",
  format: "csv",
  columns: {
    ticker: "symbol",
    volume: "volume",
    open: "open_price",
    close: "close_price",
    high: "high_price",
    low: "low_price",
    window_start: "ts",
    transactions: "trade_count",
  },
  epoch: "ns",
  timeframes: { minute: "1m", day: "1d" },
  notes: [
    "`window_start` is in nanoseconds; one that is not a whole number of microseconds is rejected, not rounded.",
    "A file does not name its timeframe: give it with `--set timeframe=1m` or `1d`.",
    "Files of indices have no volume, which a bar needs: their rows are rejected unless `--set volume=0` is given.",
  ],
};
