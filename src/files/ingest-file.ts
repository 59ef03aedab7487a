/**
 * Brings one file into a dataset, in constant memory: reads no further ahead than the database takes, and tells of
 * every line that could not be stored by its number. A file that breaks off, or a stop, costs nothing that was read
 * before: it is written, and the error carries the counts.
 */
import type { UpsertOptions, UpsertResult } from "../client/upsert.ts";
import type { WriteCounts } from "../client/write-batch.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { EARLIEST_TIME_US, formatTime } from "../datasets/values/time.ts";
import { StoreError } from "../errors/store-error.ts";
import { type ReadOptions, readRecords } from "./read-records.ts";
import type { RawRow } from "./record-batch.ts";
import type { Reject } from "./rejects-writer.ts";

/** What takes the rows: a dataset's client, or its stand-in for a dry run. */
export interface IngestTarget {
  readonly dataset: DatasetShape;
  /** Checks the rows itself: a file may hold anything. */
  upsert(rows: AsyncIterable<readonly never[]>, options?: UpsertOptions): Promise<UpsertResult>;
}

/** What became of a file's records. The other counts add up to `read`, once all is written. */
export interface IngestCounts extends WriteCounts {
  /** Records read so far. */
  read: number;
  rejected: number;
}

export interface IngestOptions extends ReadOptions, Pick<UpsertOptions, "batchRows" | "timeZone"> {
  /** Whether symbols are upper-cased, which makes one of those that differ in case only. */
  readonly upperCase?: boolean;
  /** Told of records that could not be stored, a few at a time and nearly in the order of their lines. */
  readonly onRejects?: (rejects: readonly Reject[]) => void | Promise<void>;
  /** Told of the counts whenever they have changed. */
  readonly onProgress?: (counts: Readonly<IngestCounts>) => void;
}

/** Where a row carries the number of its line; names of fields are texts, so it is in nobody's way. */
const LINE = Symbol("line");
type LabelledRow = RawRow & { [LINE]?: number };

/**
 * @param path - A path, or `-` for standard input.
 * @param options - Its `signal` stops the reading; what was read by then is still written.
 * @throws StoreError What `readRecords` and `upsert` throw; `details.ingested` has the counts.
 */
export async function ingestFile(
  target: IngestTarget,
  path: string,
  options: IngestOptions = {},
): Promise<IngestCounts> {
  const ingestion = new Ingestion(target.dataset, path, options);
  const rows = ingestion.rows();
  try {
    const { onRejected, onBatch } = ingestion;
    const placeOf = (row: unknown): number => (row as LabelledRow)[LINE]!;
    const { batchRows, timeZone } = options;
    await target.upsert(rows as AsyncIterable<readonly unknown[]> as AsyncIterable<readonly never[]>, {
      ...(batchRows !== undefined && { batchRows }),
      ...(timeZone !== undefined && { timeZone }),
      onRejected,
      onBatch,
      placeOf,
    });
    await ingestion.report();
    return ingestion.counts;
  } catch (error) {
    // Closes the file where the database gave up and nobody reads on.
    await rows.return(undefined);
    throw await ingestion.failed(error);
  }
}

/** One file on its way. */
class Ingestion {
  readonly counts: IngestCounts = { read: 0, inserted: 0, updated: 0, unchanged: 0, superseded: 0, rejected: 0 };
  readonly #dataset: DatasetShape;
  readonly #path: string;
  readonly #options: IngestOptions;
  /** At most what one batch of the reader and one of the database reject. */
  #unreported: Reject[] = [];

  constructor(dataset: DatasetShape, path: string, options: IngestOptions) {
    this.#dataset = dataset;
    this.#path = path;
    this.#options = options;
  }

  async *rows(): AsyncGenerator<readonly RawRow[]> {
    for await (const { rows, lines, rejects } of readRecords(this.#path, this.#dataset, this.#options)) {
      this.counts.read += rows.length + rejects.length;
      for (const { line, rejection, raw } of rejects) this.#reject(line, rejection.code, rejection.message, raw);
      await this.report();
      this.#options.onProgress?.(this.counts);
      for (const [at, row] of rows.entries()) {
        (row as LabelledRow)[LINE] = lines[at]!;
        if (this.#options.upperCase === true) upperCaseSymbol(row);
      }
      if (rows.length > 0) yield rows;
    }
  }

  readonly onRejected: NonNullable<UpsertOptions["onRejected"]> = ({ index, row, code, message }) => {
    this.#reject(index, code, message, this.#readable(row as RawRow));
  };

  readonly onBatch: NonNullable<UpsertOptions["onBatch"]> = ({ inserted, updated, unchanged, superseded }) => {
    Object.assign(this.counts, { inserted, updated, unchanged, superseded });
    this.#options.onProgress?.(this.counts);
  };

  /** Passes on what was rejected since. */
  async report(): Promise<void> {
    if (this.#unreported.length === 0) return;
    const rejects = this.#unreported;
    this.#unreported = [];
    await this.#options.onRejects?.(rejects);
  }

  /** The error with the counts, after the last rejects were passed on. */
  async failed(error: unknown): Promise<unknown> {
    // A first error of the same place is the one that counts.
    await this.report().catch(() => undefined);
    if (!(error instanceof StoreError)) return error;
    const details = { ...error.details, ingested: this.counts };
    return new StoreError(error.code, error.message, { cause: error, details });
  }

  /** A time that was counted in a file is written out, so that the row can be mended and read again. */
  #readable(row: RawRow): RawRow {
    const { name } = this.#dataset.time;
    const time = row[name];
    if (typeof time !== "bigint" || time < EARLIEST_TIME_US) return row;
    return { ...row, [name]: formatTime(time) };
  }

  #reject(line: number, code: Reject["code"], error: string, row: unknown): void {
    this.counts.rejected++;
    this.#unreported.push({ line, code, error, row });
  }
}

function upperCaseSymbol(row: RawRow): void {
  const symbol = row["symbol"];
  if (typeof symbol === "string") row["symbol"] = symbol.toUpperCase();
}
