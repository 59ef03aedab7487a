/** Option snapshots: one row per contract and moment. */
import { defineDataset, type InputRow, type StoredRow } from "./dataset.ts";

const optional = { type: "float8", required: false } as const;

export const options = defineDataset({
  name: "options",
  view: "options_snap",
  description: "Option snapshots, one per contract and moment.",
  dimensions: [
    { name: "vendor", type: "text", aliases: ["provider"], description: "Where the snapshot comes from." },
    { name: "symbol", type: "text", aliases: ["underlying"], description: "The underlying, as the vendor spells it." },
    { name: "expiry", type: "date", aliases: ["expiration"], description: "Last day of the contract." },
    { name: "option_type", type: "option_type", aliases: ["right"], description: "C for a call, P for a put." },
    { name: "strike", type: "decimal", description: "Strike price, at most six decimal places." },
  ],
  time: { name: "ts", aliases: ["timestamp"], description: "When the snapshot was taken." },
  values: [
    { name: "bid", ...optional, unit: "price", description: "Best bid." },
    { name: "ask", ...optional, unit: "price", description: "Best ask." },
    { name: "last", ...optional, unit: "price", description: "Last trade." },
    { name: "iv", ...optional, unit: "ratio (0.2 is 20 %)", description: "Implied volatility." },
    { name: "delta", ...optional, unit: "price per price of the underlying", description: "Delta." },
    { name: "gamma", ...optional, unit: "delta per price of the underlying", description: "Gamma." },
    { name: "theta", ...optional, unit: "price per day, as the vendor has it", description: "Theta." },
    { name: "vega", ...optional, unit: "price per point of volatility, as the vendor has it", description: "Vega." },
    { name: "rho", ...optional, unit: "price per point of interest, as the vendor has it", description: "Rho." },
    { name: "spot", ...optional, unit: "price", description: "Price of the underlying." },
    {
      name: "oi",
      type: "int8",
      required: false,
      min: 0,
      unit: "contracts",
      aliases: ["open_interest"],
      description: "Open interest.",
    },
    { name: "volume", type: "int8", required: false, min: 0, unit: "contracts", description: "Contracts traded." },
  ],
  rules: [],
  partitionWidth: "month",
});

/** An option snapshot on its way in. */
export type OptionInput = InputRow<typeof options>;
/** An option snapshot as stored. */
export type OptionSnapshot = StoredRow<typeof options>;
