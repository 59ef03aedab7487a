/**
 * Writes rows as NDJSON, one object a line: a null is null, an absent value is left out, times ISO 8601, numbers in
 * their shortest form, int8 with all digits. What it writes, the NDJSON reader reads back as the same values, and
 * writing those again gives the same bytes.
 */
import { numberText, type OutputColumn, type OutputRow } from "./output-columns.ts";

/** A row's line, with its line feed. */
export function ndjsonLine(columns: readonly OutputColumn[], row: OutputRow): string {
  let line = "";
  for (const column of columns) {
    const value = row[column.name];
    if (value === undefined) continue;
    line += `${line === "" ? "{" : ","}${JSON.stringify(column.name)}:${jsonValue(column, value)}`;
  }
  return line === "" ? "{}\n" : `${line}}\n`;
}

function jsonValue(column: OutputColumn, value: string | number | bigint | null): string {
  if (value === null) return "null";
  if (typeof value === "string") return column.isJson ? value : JSON.stringify(value);
  const text = numberText(column, value);
  return column.isTime && typeof value === "bigint" ? `"${text}"` : text;
}
