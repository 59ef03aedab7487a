/** How rows are printed as they come, page by page: as a table, CSV, NDJSON, or one JSON array. */
import type { RowPage } from "../client/read.ts";
import { columnsOf, type DatasetShape, type ValueColumn } from "../datasets/dataset.ts";
import { escapeUnsafe } from "../datasets/values/show-value.ts";
import { formatTime } from "../datasets/values/time.ts";
import { csvWriter } from "../files/csv-writer.ts";
import type { LineWriter } from "../files/line-writer.ts";
import { ndjsonWriter } from "../files/ndjson-writer.ts";
import { tableHead, tableLine, tableWidths } from "./table.ts";

export const ROW_FORMATS = ["table", "csv", "ndjson", "json"] as const;
export type RowFormatName = (typeof ROW_FORMATS)[number];

/** A format with what it has to remember between pages. */
export interface RowFormat {
  /** The next rows. */
  rows(page: RowPage): string | Buffer;
  /** What follows the last row. */
  end(): string | Buffer;
}

export function rowFormat(name: RowFormatName, dataset: DatasetShape): RowFormat {
  switch (name) {
    case "csv":
      return withHead(csvWriter(dataset));
    case "ndjson":
      return withHead(ndjsonWriter(dataset));
    case "json":
      return jsonArray(ndjsonWriter(dataset));
    case "table":
      return table(dataset);
  }
}

function withHead({ head, lines }: LineWriter): RowFormat {
  let rest = head;
  const takeHead = (): Buffer => {
    const taken = rest;
    rest = Buffer.alloc(0);
    return taken;
  };
  return { rows: (page) => Buffer.concat([takeHead(), lines(page)]), end: takeHead };
}

function jsonArray({ lines }: LineWriter): RowFormat {
  let before = "[\n";
  return {
    rows: (page) => {
      if (page.rows.length === 0) return "";
      const text = before + lines(page).toString().trimEnd().replaceAll("\n", ",\n");
      before = ",\n";
      return text;
    },
    end: () => (before === ",\n" ? "\n]\n" : "[]\n"),
  };
}

/** Longer texts would push everything else off the screen. */
const MAX_CELL = 60;

/** Widths are those of the first page: a table of millions of rows is not held in memory. */
function table(dataset: DatasetShape): RowFormat {
  const numbers = new Set(dataset.values.filter(({ type }) => isNumber(type)).map(({ name }) => name));
  const shape = columnsOf(dataset).map(({ name }) => ({ name, isNumber: numbers.has(name) }));
  let widths: number[] | undefined;
  return {
    rows: (page) => {
      const cells = Array.from({ length: page.rows.length }, (_, at) => cellsOf(dataset, page, at));
      const isFirst = widths === undefined;
      widths ??= tableWidths(shape, cells);
      const fixed = widths;
      return (isFirst ? tableHead(shape, fixed) : "") + cells.map((row) => tableLine(shape, fixed, row)).join("");
    },
    end: () => "",
  };
}

const isNumber = (type: ValueColumn["type"]): boolean => type !== "text" && type !== "json";

function cellsOf(dataset: DatasetShape, { rows, series }: RowPage, at: number): string[] {
  const dimensions = series.get(rows.seriesIds[at]!)!;
  return [
    ...dataset.dimensions.map(({ name }) => cellText(dimensions[name]!)),
    formatTime(rows.times[at]!),
    ...rows.columns.map(({ values, nulls }) => (nulls[at] === 1 ? "" : cellText(String(values[at])))),
  ];
}

function cellText(text: string): string {
  return escapeUnsafe(text.length > MAX_CELL ? `${text.slice(0, MAX_CELL).toWellFormed()}…` : text);
}
