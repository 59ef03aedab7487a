/** Alpaca's bars as NDJSON. */
import type { NamedFormat } from "./named-format.ts";

export const alpaca: NamedFormat = {
  name: "alpaca",
  dataset: "bars",
  description:
    "Bars of Alpaca's market data API, one JSON object a line, as `jq -c '.bars[]'` makes them of an answer for one symbol; or the bar messages of its stream.",
  format: "ndjson",
  columns: {
    T: null,
    S: "symbol",
    t: "ts",
    o: "open_price",
    h: "high_price",
    l: "low_price",
    c: "close_price",
    v: "volume",
    n: "trade_count",
    vw: "vwap",
  },
  timeframes: { "1T": "1m", "5T": "5m", "15T": "15m", "30T": "30m", "1M": "1mo" },
  notes: [
    "Times (`t`) are RFC 3339 with a zone.",
    "Only messages of the stream name their symbol (`S`); for an answer of the API give it with `--set symbol=…`.",
    "No bar names its timeframe: give it with `--set timeframe=…`.",
  ],
};
