/**
 * Writes rows as CSV (RFC 4180, LF, a header): a null is an empty cell, the empty text a quoted empty one, times ISO
 * 8601, numbers in their shortest form. What it writes, the CSV reader reads back as the same values, and writing
 * those again gives the same bytes.
 */
import { numberText, type OutputColumn, type OutputRow } from "./output-columns.ts";

const NEEDS_QUOTES = /[",\r\n]/;

/** The header line, with its line feed. */
export function csvHeader(columns: readonly OutputColumn[]): string {
  return `${columns.map((column) => textCell(column.name)).join(",")}\n`;
}

/** A row's line, with its line feed. An absent value is an empty cell, as CSV has no other. */
export function csvLine(columns: readonly OutputColumn[], row: OutputRow): string {
  let line = "";
  for (const column of columns) {
    const value = row[column.name];
    if (line !== "" || column !== columns[0]) line += ",";
    if (typeof value === "string") line += textCell(value);
    else if (value !== null && value !== undefined) line += numberText(column, value);
  }
  return `${line}\n`;
}

function textCell(text: string): string {
  if (text === "") return '""';
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
