/** Yahoo Finance's price history as CSV. */
import type { NamedFormat } from "./named-format.ts";

export const yahoo: NamedFormat = {
  name: "yahoo",
  dataset: "bars",
  description:
    "Price history of Yahoo Finance as CSV with a header: its download, and what yfinance writes for one symbol (intraday too, with dividends and splits).",
  format: "csv",
  columns: {
    Date: "ts",
    Datetime: "ts",
    Open: "open_price",
    High: "high_price",
    Low: "low_price",
    Close: "close_price",
    "Adj Close": null,
    Volume: "volume",
    Dividends: null,
    "Stock Splits": null,
    "Capital Gains": null,
  },
  timeframes: { "60m": "1h" },
  notes: [
    "Dates have no zone: name the exchange's with `--timezone America/New_York`. Without it every row is rejected; none is guessed.",
    "A file names neither symbol nor timeframe: give them with `--set symbol=… --set timeframe=1d`.",
    "`Close` is adjusted for splits by Yahoo itself; `Adj Close`, adjusted for dividends too, is left out.",
    "Days without prices, which Yahoo writes as `null`, are rejected.",
  ],
};
