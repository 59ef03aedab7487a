/** Binance's public kline files. */
import type { NamedFormat } from "./named-format.ts";

export const binance: NamedFormat = {
  name: "binance",
  dataset: "bars",
  description:
    "Kline files of data.binance.vision (unzipped) for spot, USD-M and COIN-M: CSV of twelve columns, with a header or without one.",
  format: "csv",
  columns: {
    open_time: "ts",
    open: "open_price",
    high: "high_price",
    low: "low_price",
    close: "close_price",
    volume: "volume",
    close_time: null,
    quote_volume: null,
    count: "trade_count",
    taker_buy_volume: null,
    taker_buy_quote_volume: null,
    ignore: null,
  },
  mayLackHeader: true,
  epoch: "ms or us",
  timeframes: { "1M": "1mo" },
  notes: [
    "`open_time` is in milliseconds (13 digits), and in microseconds (16 digits) in spot files from 2025 on; it is told by its digits, and a number of another length is rejected.",
    "A file names neither symbol nor timeframe: give them with `--set symbol=BTCUSDT --set timeframe=1m`.",
    "`volume` is that of the base asset (contracts in COIN-M files). No vwap is computed from `quote_volume`.",
  ],
};
