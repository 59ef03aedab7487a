/**
 * Reads a file of a dataset, whatever its form: compressed or not, CSV or NDJSON, told by content. Gives batches of
 * raw rows and of rejected lines; what values mean is decided later. Reads no further than the caller takes.
 */
import type { DatasetShape, Rejection } from "../datasets/dataset.ts";
import { StoreError } from "../errors/store-error.ts";
import { replay, takeHead } from "./byte-head.ts";
import { type ColumnOptions, columnNames } from "./column-names.ts";
import { readCsv } from "./csv-reader.ts";
import { type EpochUnit, parseEpoch } from "./formats/epoch-time.ts";
import { readLines } from "./line-reader.ts";
import { readNdjson } from "./ndjson-reader.ts";
import { openSource, type SourceOptions, sourceName } from "./open-source.ts";
import type { RecordBatch } from "./record-batch.ts";
import type { TextFormat } from "./text-form.ts";

/** Blanks that a file may begin with and still be told apart; without a bound they would all be held in memory. */
const MAX_BLANK_BYTES = 65_536;

export interface ReadOptions extends ColumnOptions, SourceOptions {
  /** The file's form; by default told by its first character. */
  readonly format?: TextFormat | undefined;
  /** The columns of a CSV file whose first line is no header but begins with a number. */
  readonly headerIfNone?: readonly string[] | undefined;
  /** What times are counted in, where they are numbers. */
  readonly epoch?: EpochUnit | undefined;
}

/**
 * The records of a file. An empty file has none.
 *
 * @param path - A path, or `-` for standard input.
 * @throws StoreError `file_unreadable`, `file_encoding`, `file_columns`, `file_truncated`, `usage`, `aborted`; what was
 *   whole before the place of an error has been delivered.
 */
export async function* readRecords(
  path: string,
  dataset: DatasetShape,
  options: ReadOptions = {},
): AsyncGenerator<RecordBatch> {
  const columns = columnNames(dataset, options);
  const source = openSource(path, options);
  try {
    const head = await takeHead(source, (bytes) => bytes.length > MAX_BLANK_BYTES || firstVisible(bytes) !== undefined);
    const lines = readLines(replay(head, source));
    const format = options.format ?? formatOf(firstVisible(head.bytes), sourceName(path));
    const batches =
      format === "csv" ? readCsv(lines, columns, sourceName(path), options.headerIfNone) : readNdjson(lines, columns);
    for await (const batch of batches) {
      if (options.signal?.aborted === true) throw new StoreError("aborted", `Reading ${sourceName(path)} was stopped.`);
      yield options.epoch === undefined ? batch : withTimes(batch, dataset.time.name, options.epoch);
    }
  } finally {
    await source.return(undefined);
  }
}

/** The batch with its times as microseconds; rows whose time cannot be that are rejected. */
function withTimes(batch: RecordBatch, column: string, unit: EpochUnit): RecordBatch {
  const result: RecordBatch = { rows: [], lines: [], rejects: [...batch.rejects] };
  for (const [at, row] of batch.rows.entries()) {
    const line = batch.lines[at]!;
    const time =
      row[column] === undefined || row[column] === null ? row[column] : parseEpoch(column, row[column], unit);
    if (typeof time === "object" && time !== null) {
      result.rejects.push({ line, rejection: time as Rejection, raw: row });
      continue;
    }
    row[column] = time;
    result.rows.push(row);
    result.lines.push(line);
  }
  return result;
}

function firstVisible(bytes: Buffer): string | undefined {
  const byte = bytes.find((each) => each > 0x20);
  return byte === undefined ? undefined : String.fromCharCode(byte);
}

function formatOf(first: string | undefined, name: string): "csv" | "ndjson" {
  if (first === "[") {
    throw new StoreError("file_columns", `${name} is a JSON array; write one object a line (jq -c '.[]').`);
  }
  return first === "{" ? "ndjson" : "csv";
}
