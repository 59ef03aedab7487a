/**
 * Takes one CSV record apart (RFC 4180): cells between commas, a cell in quotes where it begins with one, a doubled
 * quote inside it for one. Strict: a quote anywhere else is an error, since guessing would shift values between columns.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;

/** A record's cells (null: empty and not quoted), that a quote is still open at its end, or what is wrong with it. */
export type CsvCells =
  | { readonly kind: "cells"; readonly cells: (string | null)[] }
  | { readonly kind: "open" }
  | { readonly kind: "wrong"; readonly reason: string };

/** Reads the cells of a record, which may hold line feeds inside quotes; without the record's own line end. */
export function readCsvCells(text: string): CsvCells {
  const cells: (string | null)[] = [];
  let start = 0;
  for (;;) {
    let end: number;
    if (text.charCodeAt(start) === QUOTE) {
      end = closingQuote(text, start + 1);
      if (end < 0) return { kind: "open" };
      cells.push(text.slice(start + 1, end).replaceAll('""', '"'));
      end++;
      if (end < text.length && text.charCodeAt(end) !== COMMA) {
        return { kind: "wrong", reason: `Text follows the closing quote of cell ${cells.length}.` };
      }
    } else {
      end = text.indexOf(",", start);
      if (end < 0) end = text.length;
      const cell = text.slice(start, end);
      if (cell.includes('"')) {
        return { kind: "wrong", reason: `Cell ${cells.length + 1} has a quote but does not begin with one.` };
      }
      cells.push(cell === "" ? null : cell);
    }
    if (end >= text.length) return { kind: "cells", cells };
    start = end + 1;
  }
}

/** Place of the quote that ends a cell, or -1 where none does. */
function closingQuote(text: string, from: number): number {
  let at = text.indexOf('"', from);
  while (at >= 0 && text.charCodeAt(at + 1) === QUOTE) at = text.indexOf('"', at + 2);
  return at;
}

/** Whether a line that lies inside a quoted cell ends it: an odd number of quotes does. */
export function endsQuotedCell(line: string): boolean {
  let isOdd = false;
  for (let at = line.indexOf('"'); at >= 0; at = line.indexOf('"', at + 1)) isOdd = !isOdd;
  return isOdd;
}
