/** How rows are printed as they come, batch by batch: as a table, CSV, NDJSON, or one JSON array. */
import { columnsOf, type DatasetShape } from "../datasets/dataset.ts";
import { csvHeader, csvLine } from "../files/csv-writer.ts";
import { ndjsonLine } from "../files/ndjson-writer.ts";
import { numberText, type OutputColumn, type OutputRow, outputColumns } from "../files/output-columns.ts";
import { tableHead, tableLine, tableWidths } from "./table.ts";

export const ROW_FORMATS = ["table", "csv", "ndjson", "json"] as const;
export type RowFormatName = (typeof ROW_FORMATS)[number];

/** A format with what it has to remember between batches. */
export interface RowFormat {
  /** Text of the next rows. */
  rows(rows: readonly OutputRow[]): string;
  /** Text after the last row. */
  end(): string;
}

export function rowFormat(name: RowFormatName, dataset: DatasetShape): RowFormat {
  const columns = outputColumns(dataset);
  switch (name) {
    case "csv":
      return withHead(csvHeader(columns), (row) => csvLine(columns, row));
    case "ndjson":
      return withHead("", (row) => ndjsonLine(columns, row));
    case "json":
      return jsonArray(columns);
    case "table":
      return table(columns, dataset);
  }
}

function withHead(head: string, line: (row: OutputRow) => string): RowFormat {
  let rest = head;
  const takeHead = (): string => {
    const text = rest;
    rest = "";
    return text;
  };
  return { rows: (rows) => takeHead() + rows.map(line).join(""), end: takeHead };
}

function jsonArray(columns: readonly OutputColumn[]): RowFormat {
  let before = "[\n";
  return {
    rows: (rows) => {
      const lines = rows.map((row) => ndjsonLine(columns, row).trimEnd());
      const text = rows.length === 0 ? "" : before + lines.join(",\n");
      if (rows.length > 0) before = ",\n";
      return text;
    },
    end: () => (before === ",\n" ? "\n]\n" : "[]\n"),
  };
}

/** Widths are those of the first batch: a table of millions of rows is not held in memory. */
function table(columns: readonly OutputColumn[], dataset: DatasetShape): RowFormat {
  const numbers = new Set(dataset.values.map((column) => column.name));
  const shape = columnsOf(dataset).map(({ name }) => ({ name, isNumber: numbers.has(name) }));
  let widths: number[] | undefined;
  return {
    rows: (rows) => {
      const cells = rows.map((row) => columns.map((column) => cellText(column, row[column.name])));
      const isFirst = widths === undefined;
      widths ??= tableWidths(shape, cells);
      const fixed = widths;
      return (isFirst ? tableHead(shape, fixed) : "") + cells.map((row) => tableLine(shape, fixed, row)).join("");
    },
    end: () => "",
  };
}

function cellText(column: OutputColumn, value: OutputRow[string]): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : numberText(column, value);
}
