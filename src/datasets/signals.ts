/** Signals: one value per name, instrument and moment. */
import { defineDataset, type InputRow, type StoredRow } from "./dataset.ts";

export const signals = defineDataset({
  name: "signals",
  description: "Signals, one value per name, instrument and moment.",
  dimensions: [
    { name: "vendor", type: "text", aliases: ["provider"], description: "Who computed it." },
    { name: "symbol", type: "text", aliases: ["ticker"], description: "The instrument." },
    { name: "name", type: "text", aliases: ["signal"], description: "What it is called." },
  ],
  time: { name: "ts", aliases: ["timestamp"], description: "The moment for which it holds." },
  values: [
    { name: "value", type: "float8", required: true, unit: "as its name says", description: "Its value." },
    {
      name: "score",
      type: "float8",
      required: false,
      unit: "as its name says",
      description: "A second number, such as confidence.",
    },
    { name: "metadata", type: "json", required: false, unit: "object", description: "Whatever else belongs to it." },
  ],
  rules: [],
  partitionWidth: "year",
});

/** A signal on its way in. */
export type SignalInput = InputRow<typeof signals>;
/** A signal as stored. */
export type Signal = StoredRow<typeof signals>;
