/**
 * Brings one file into a dataset, in constant memory: reads no further ahead than the database takes, and tells of
 * every line that could not be stored by its number. A file that breaks off, or a stop, costs nothing that was read
 * before: it is written, and the error carries the counts.
 */
import type { UpsertOptions, UpsertResult, WrittenRows } from "../client/upsert.ts";
import type { WriteCounts } from "../client/write-batch.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { EARLIEST_TIME_US, formatTime } from "../datasets/values/time.ts";
import { StoreError } from "../errors/store-error.ts";
import { type ReadOptions, readRecords } from "./read-records.ts";
import type { RawRow, RecordBatch } from "./record-batch.ts";
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

/** Where a reading was left off: all records up to this line are stored or rejected, and counted. */
export interface FilePosition {
  /** Number of a line. */
  readonly line: number;
  readonly counts: Readonly<IngestCounts>;
}

export interface IngestOptions extends ReadOptions, Pick<UpsertOptions, "batchRows" | "timeZone"> {
  /** Whether symbols are upper-cased, which makes one of those that differ in case only. */
  readonly upperCase?: boolean;
  /** Told of records that could not be stored, a few at a time and nearly in the order of their lines. */
  readonly onRejects?: (rejects: readonly Reject[]) => void | Promise<void>;
  /** Told of the counts whenever they have changed. */
  readonly onProgress?: (counts: Readonly<IngestCounts>) => void;
  /** Told of the rows of each batch that was written. */
  readonly onWritten?: (rows: WrittenRows) => void;
  /** Where an earlier reading of the same content was left off; what lies before is passed over. */
  readonly from?: FilePosition;
  /** Told after about so many records, and at the end, where the reading could be taken up again. */
  readonly positions?: { readonly everyRows: number; readonly onPosition: (position: FilePosition) => Promise<void> };
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
    const { onRejected } = ingestion;
    const placeOf = (row: unknown): number => (row as LabelledRow)[LINE]!;
    const { batchRows, timeZone, positions } = options;
    while (!ingestion.hasEnded) {
      const stretch = ingestion.stretch(rows, positions?.everyRows);
      await target.upsert(stretch as AsyncIterable<readonly unknown[]> as AsyncIterable<readonly never[]>, {
        ...(batchRows !== undefined && { batchRows }),
        ...(timeZone !== undefined && { timeZone }),
        onRejected,
        onBatch: ingestion.batchCounter(),
        placeOf,
      });
      await ingestion.report();
      await positions?.onPosition(ingestion.position);
    }
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
  hasEnded = false;
  #line = 0;
  readonly #dataset: DatasetShape;
  readonly #path: string;
  readonly #options: IngestOptions;
  /** At most what one batch of the reader and one of the database reject. */
  #unreported: Reject[] = [];

  constructor(dataset: DatasetShape, path: string, options: IngestOptions) {
    this.#dataset = dataset;
    this.#path = path;
    this.#options = options;
    if (options.from === undefined) return;
    this.#line = options.from.line;
    Object.assign(this.counts, options.from.counts);
  }

  get position(): FilePosition {
    return { line: this.#line, counts: { ...this.counts } };
  }

  /** So many of the rows, at least; the source stays open for the next stretch. */
  async *stretch(
    rows: AsyncGenerator<readonly RawRow[]>,
    atLeast = Number.POSITIVE_INFINITY,
  ): AsyncGenerator<readonly RawRow[]> {
    for (let taken = 0; taken < atLeast; ) {
      const next = await rows.next();
      if (next.done === true) {
        this.hasEnded = true;
        return;
      }
      taken += next.value.length;
      yield next.value;
    }
  }

  async *rows(): AsyncGenerator<readonly RawRow[]> {
    for await (const batch of readRecords(this.#path, this.#dataset, this.#options)) {
      const { rows, lines, rejects } = behind(batch, this.#options.from?.line ?? 0);
      this.#line = rejects.reduce((last, { line }) => Math.max(last, line), Math.max(this.#line, lines.at(-1) ?? 0));
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

  /** Adds the counts of one call of upsert to those before it. */
  batchCounter(): NonNullable<UpsertOptions["onBatch"]> {
    const before = { ...this.counts };
    return (soFar, rows) => {
      for (const name of ["inserted", "updated", "unchanged", "superseded"] as const) {
        this.counts[name] = before[name] + soFar[name];
      }
      this.#options.onWritten?.(rows);
      this.#options.onProgress?.(this.counts);
    };
  }

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

/** The records of a batch that begin behind a line. */
function behind(batch: RecordBatch, line: number): RecordBatch {
  if ((batch.lines[0] ?? 0) > line && batch.rejects.every((reject) => reject.line > line)) return batch;
  const at = batch.lines.findIndex((each) => each > line);
  const from = at < 0 ? batch.lines.length : at;
  return {
    rows: batch.rows.slice(from),
    lines: batch.lines.slice(from),
    rejects: batch.rejects.filter((reject) => reject.line > line),
  };
}

function upperCaseSymbol(row: RawRow): void {
  const symbol = row["symbol"];
  if (typeof symbol === "string") row["symbol"] = symbol.toUpperCase();
}
