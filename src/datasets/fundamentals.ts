/** Fundamentals: one row per company and reporting date, in exact decimals. */
import { defineDataset, type InputRow, type StoredRow } from "./dataset.ts";

const money = { type: "numeric", precision: 25, scale: 2, required: false, unit: "reporting currency" } as const;

export const fundamentals = defineDataset({
  name: "fundamentals",
  description: "Fundamentals, one row per company and date.",
  dimensions: [
    { name: "vendor", type: "text", aliases: ["provider"], description: "Where the figures come from." },
    { name: "symbol", type: "text", aliases: ["ticker"], description: "The company, as the vendor spells it." },
  ],
  time: { name: "asof", aliases: ["as_of", "ts"], description: "The moment for which the figures hold." },
  values: [
    { name: "total_assets", ...money, description: "Total assets." },
    { name: "total_liabilities", ...money, description: "Total liabilities." },
    { name: "net_income", ...money, description: "Net income." },
    {
      name: "eps",
      type: "numeric",
      precision: 14,
      scale: 6,
      required: false,
      unit: "reporting currency per share",
      description: "Earnings per share.",
    },
    {
      name: "metrics",
      type: "json",
      required: false,
      unit: "named numbers",
      description: "Any other figures by name.",
    },
  ],
  rules: [],
  partitionWidth: "year",
});

/** Fundamentals on their way in. */
export type FundamentalsInput = InputRow<typeof fundamentals>;
/** Fundamentals as stored; numbers are decimal text. */
export type Fundamentals = StoredRow<typeof fundamentals>;
