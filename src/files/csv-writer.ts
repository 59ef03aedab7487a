/**
 * Writes rows as CSV (RFC 4180, LF, a header): a null is an empty cell, the empty text a quoted empty one. What it
 * writes, the CSV reader reads back as the same values, and writing those again gives the same bytes.
 */
import { columnsOf, type DatasetShape } from "../datasets/dataset.ts";
import { type LineWriter, lineWriter } from "./line-writer.ts";

export function csvWriter(dataset: DatasetShape): LineWriter {
  const dimensions = dataset.dimensions.map(({ name }) => name);
  return lineWriter(dataset, {
    head: `${columnsOf(dataset)
      .map(({ name }) => textCell(name))
      .join(",")}\n`,
    lineStart: (values) => dimensions.map((name) => `${textCell(values[name]!)},`).join(""),
    timeEnd: "",
    before: () => ",",
    nullText: "",
    text: textCell,
    json: textCell,
    lineEnd: "\n",
  });
}

const NEEDS_QUOTES = /[",\r\n]/;

function textCell(text: string): string {
  if (text === "") return '""';
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
