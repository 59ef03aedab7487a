/**
 * Writes rows as lines of UTF-8 text, page by page, straight from their columns. What all text formats write alike is
 * here: times as ISO 8601 in UTC, numbers in the shortest form that reads back as the same value, every digit of
 * decimals. The formats themselves say what stands between and around values.
 */
import type { RowPage } from "../client/read.ts";
import type { DatasetShape, ValueColumn } from "../datasets/dataset.ts";
import { formatTime } from "../datasets/values/time.ts";
import { StoreError } from "../errors/store-error.ts";
import { ByteWriter } from "./byte-writer.ts";

/** A text format's lines of one dataset. */
export interface LineWriter {
  /** What a file begins with. */
  readonly head: Buffer;
  /**
   * The rows' lines, each with its line feed.
   *
   * @throws StoreError `number_invalid` for NaN and infinities, which no store of ours holds.
   */
  readonly lines: (page: RowPage) => Buffer;
}

/** What a format writes around and for values. */
export interface LineSyntax {
  readonly head: string;
  /** A line's beginning up to its time: what all rows of a series have in common. */
  readonly lineStart: (dimensions: Readonly<Record<string, string>>) => string;
  readonly timeEnd: string;
  /** What stands before the values of a column. */
  readonly before: (column: ValueColumn) => string;
  readonly nullText: string;
  readonly text: (value: string) => string;
  /** JSON objects come as their text. */
  readonly json: (value: string) => string;
  readonly lineEnd: string;
}

/** The rows of the next page may be a little longer than those of the one before. */
const SPARE = 1.05;
/** Beyond this the guess may be far off, and growing is cheap beside what is written. */
const MAX_EXPECTED_BYTES = 8_388_608;

export function lineWriter(dataset: DatasetShape, syntax: LineSyntax): LineWriter {
  const [timeEnd, nullText, lineEnd] = [syntax.timeEnd, syntax.nullText, syntax.lineEnd].map((text) =>
    Buffer.from(text),
  ) as [Buffer, Buffer, Buffer];
  const columns = dataset.values.map((column) => ({
    before: Buffer.from(syntax.before(column)),
    put: valuePutter(column, syntax) as (out: ByteWriter, value: unknown) => void,
  }));
  let bytesPerRow = 0;
  const lines = ({ rows, series }: RowPage): Buffer => {
    const out = new ByteWriter(Math.min(Math.ceil(rows.length * bytesPerRow), MAX_EXPECTED_BYTES));
    let start: Buffer = Buffer.alloc(0);
    let seriesId: number | undefined;
    for (let at = 0; at < rows.length; at++) {
      if (rows.seriesIds[at] !== seriesId) {
        seriesId = rows.seriesIds[at]!;
        start = Buffer.from(syntax.lineStart(series.get(seriesId)!));
      }
      out.bytes(start);
      out.text(formatTime(rows.times[at]!));
      out.bytes(timeEnd);
      for (let slot = 0; slot < columns.length; slot++) {
        const { values, nulls } = rows.columns[slot]!;
        out.bytes(columns[slot]!.before);
        if (nulls[at] === 1) out.bytes(nullText);
        else columns[slot]!.put(out, values[at]);
      }
      out.bytes(lineEnd);
    }
    const bytes = out.take();
    if (rows.length > 0) bytesPerRow = (bytes.length / rows.length) * SPARE;
    return bytes;
  };
  return { head: Buffer.from(syntax.head), lines };
}

function valuePutter(column: ValueColumn, syntax: LineSyntax): (out: ByteWriter, value: never) => void {
  switch (column.type) {
    case "float8":
      return (out, value: number) => putFloat(out, column.name, value);
    case "int8":
      return (out, value: bigint) => {
        if (!out.quickDecimal(Number(value))) out.text(String(value));
      };
    case "numeric":
      return (out, value: string) => out.text(value);
    case "text":
      return (out, value: string) => out.text(syntax.text(value));
    case "json":
      return (out, value: string) => out.text(syntax.json(value));
  }
}

function putFloat(out: ByteWriter, name: string, value: number): void {
  if (out.quickDecimal(value)) return;
  if (!Number.isFinite(value)) {
    throw new StoreError("number_invalid", `${name} is ${value}, which cannot be written to a file.`);
  }
  out.text(String(value));
}
