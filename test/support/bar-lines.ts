/** CSV and NDJSON bars for tests: one a minute, each different from the others. */

export const BAR_HEADER = "ts,symbol,open,high,low,close,volume";
const FIRST_MS = Date.UTC(2024, 0, 1);

export function barCells(minute: number, symbol = "AAA"): string[] {
  const open = 100 + minute / 100;
  const ts = new Date(FIRST_MS + minute * 60_000).toISOString().replace(".000", "");
  return [ts, symbol, ...[open, open + 1, open - 1, open + 0.5].map((price) => String(Number(price.toFixed(2)))), "10"];
}

/** Lines without a header, each with its line feed. */
export function barLines(from: number, to: number, symbol?: string): string {
  let text = "";
  for (let minute = from; minute < to; minute++) text += `${barCells(minute, symbol).join(",")}\n`;
  return text;
}

/** A whole file of so many bars. */
export function barFile(rows: number, symbol?: string): string {
  return `${BAR_HEADER}\n${barLines(0, rows, symbol)}`;
}
