/** OHLCV bars: one row per series (vendor, symbol, timeframe) and interval start. */
import { defineDataset, type InputRow, type StoredRow } from "./dataset.ts";

export const bars = defineDataset({
  name: "bars",
  description: "OHLCV bars, one per series and interval.",
  dimensions: [
    { name: "vendor", type: "text", aliases: ["provider"], description: "Where the bar comes from." },
    { name: "symbol", type: "text", aliases: ["ticker"], description: "The instrument, as the vendor spells it." },
    { name: "timeframe", type: "timeframe", aliases: ["interval"], description: "Length of the interval." },
  ],
  time: { name: "ts", aliases: ["timestamp"], description: "Start of the interval." },
  values: [
    {
      name: "open_price",
      type: "float8",
      required: true,
      unit: "price",
      aliases: ["open"],
      description: "First price.",
    },
    {
      name: "high_price",
      type: "float8",
      required: true,
      unit: "price",
      aliases: ["high"],
      description: "Highest price.",
    },
    {
      name: "low_price",
      type: "float8",
      required: true,
      unit: "price",
      aliases: ["low"],
      description: "Lowest price.",
    },
    {
      name: "close_price",
      type: "float8",
      required: true,
      unit: "price",
      aliases: ["close"],
      description: "Last price.",
    },
    { name: "volume", type: "float8", required: true, min: 0, unit: "units traded", description: "Traded volume." },
    { name: "trade_count", type: "int8", required: false, min: 0, unit: "trades", description: "Number of trades." },
    { name: "vwap", type: "float8", required: false, unit: "price", description: "Volume-weighted average price." },
  ],
  rules: [
    {
      name: "low_is_lowest",
      code: "bar_impossible",
      sql: "low_price <= open_price and low_price <= close_price and low_price <= high_price",
      columns: ["low_price", "open_price", "close_price", "high_price"],
      broken: (low, open, close, high) =>
        low! <= open! && low! <= close! && low! <= high!
          ? undefined
          : `low_price ${low} is above the open ${open}, the close ${close} or the high ${high}.`,
    },
    {
      name: "high_is_highest",
      code: "bar_impossible",
      sql: "high_price >= open_price and high_price >= close_price",
      columns: ["high_price", "open_price", "close_price"],
      broken: (high, open, close) =>
        high! >= open! && high! >= close!
          ? undefined
          : `high_price ${high} is below the open ${open} or the close ${close}.`,
    },
  ],
  aggregated: { dimension: "timeframe", from: "1m", to: ["5m", "15m", "1h", "1d"] },
  partitionWidth: "month",
});

/** A bar on its way in. */
export type BarInput = InputRow<typeof bars>;
/** A bar as stored. */
export type Bar = StoredRow<typeof bars>;
