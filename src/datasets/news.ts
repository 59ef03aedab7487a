/** News: one row per article, told apart by a hash of symbol, title and url. */
import { defineDataset, type InputRow, type StoredRow } from "./dataset.ts";

export const news = defineDataset({
  name: "news",
  description: "News, one row per article and symbol.",
  dimensions: [{ name: "vendor", type: "text", aliases: ["provider"], description: "Where the article comes from." }],
  time: { name: "published_at", aliases: ["ts"], description: "When it was published." },
  values: [
    {
      name: "symbol",
      type: "text",
      required: false,
      maxCharacters: 64,
      unit: "text",
      description: "The instrument that it is about, if it is about one.",
    },
    { name: "title", type: "text", required: true, maxCharacters: 4_000, unit: "text", description: "Headline." },
    { name: "url", type: "text", required: true, maxCharacters: 4_000, unit: "text", description: "Address." },
    {
      name: "sentiment_score",
      type: "float8",
      required: false,
      min: -1,
      max: 1,
      aliases: ["sentiment"],
      unit: "-1 (bad) to 1 (good)",
      description: "Sentiment.",
    },
    { name: "metadata", type: "json", required: false, unit: "object", description: "Whatever else the vendor says." },
  ],
  contentKey: { name: "id", columns: ["symbol", "title", "url"] },
  rules: [],
  partitionWidth: "year",
});

/** An article on its way in. */
export type NewsInput = InputRow<typeof news>;
/** An article as stored. */
export type NewsItem = StoredRow<typeof news>;
