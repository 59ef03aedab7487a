/**
 * Collects rows of any datasets and writes them when there are enough of them, or when they have waited long enough. A
 * failure is never silent: the next call throws it, and the rows stay for another try. Memory is bounded: `write` waits
 * while a flush is under way and as many rows again have come. For durability before the database, see the coordinator.
 */
import type { InputRow } from "../datasets/dataset.ts";
import { type DatasetName, datasetNamed } from "../datasets/registry.ts";
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import type { Store } from "./open-store.ts";
import type { RowRejection, UpsertResult } from "./upsert.ts";

/** The datasets of a store by name. */
type Datasets = Pick<Store, DatasetName>;
type RowOf<Name extends DatasetName> = InputRow<Datasets[Name]["dataset"]>;

export interface BatchWriterOptions {
  /** Rows of all datasets together after which they are written; 5,000 unless given. */
  readonly maxRows?: number;
  /** Their size in memory, estimated, after which they are written; 8 MiB unless given. */
  readonly maxBytes?: number;
  /** How long a row waits at most, in milliseconds; 1,000 unless given. */
  readonly flushIntervalMs?: number;
  /** Told of every row that could not be stored. */
  readonly onRejected?: (dataset: DatasetName, rejection: RowRejection) => void;
}

/** What was written since the writer was made, by dataset. */
export type WriterCounts = Partial<Record<DatasetName, Omit<UpsertResult, "rejections">>>;

const OPTIONS = fieldsOf<BatchWriterOptions>({
  maxRows: true,
  maxBytes: true,
  flushIntervalMs: true,
  onRejected: true,
});
const DEFAULTS = { maxRows: 5_000, maxBytes: 8 * 1_048_576, flushIntervalMs: 1_000 } as const;
/** What a row costs besides its texts: a guess that is right within a factor of two. */
const ROW_BYTES = 200;
/** What is nested deeper is not counted; an object may hold itself. */
const MAX_DEPTH = 8;

export class BatchWriter {
  readonly #datasets: Datasets;
  readonly #limits: { readonly maxRows: number; readonly maxBytes: number; readonly flushIntervalMs: number };
  readonly #onRejected: BatchWriterOptions["onRejected"];
  readonly #waiting = new Map<DatasetName, unknown[]>();
  readonly #counts: WriterCounts = {};
  #rows = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> | undefined;
  #failure: unknown;
  #closed = false;

  /** @internal Use `store.batchWriter()`. */
  constructor(datasets: Datasets, options: BatchWriterOptions = {}) {
    requireFields("A batch writer", options, OPTIONS);
    const { onRejected, ...limits } = options;
    this.#datasets = datasets;
    this.#limits = { ...DEFAULTS, ...limits };
    this.#onRejected = onRejected;
    for (const [name, limit] of Object.entries(this.#limits)) {
      if (!Number.isSafeInteger(limit) || limit < 1) {
        throw new StoreError("usage", `${name} is ${limit}; it must be a whole number above 0.`);
      }
    }
  }

  /** What was written so far. */
  get counts(): Readonly<WriterCounts> {
    return this.#counts;
  }

  /** Rows that wait to be written. */
  get waitingRows(): number {
    return this.#rows;
  }

  /**
   * Takes a row. Resolves at once while there is room, else when there is room again.
   *
   * @throws StoreError `usage` for an unknown dataset; of a flush that failed since the last call. Its rows still wait; the row of this call was not taken.
   */
  async write<Name extends DatasetName>(dataset: Name, row: RowOf<Name>): Promise<void> {
    if (this.#closed) throw new StoreError("usage", "The batch writer is closed.");
    datasetNamed(dataset); // An unknown one would keep all others from being written.
    this.#throwFailure();
    if (this.#isFull()) {
      await this.#flushing;
      this.#throwFailure();
      if (this.#isFull()) await this.flush();
    }
    const rows = this.#waiting.get(dataset);
    if (rows === undefined) this.#waiting.set(dataset, [row]);
    else rows.push(row);
    this.#rows++;
    this.#bytes += bytesOf(row);
    if (this.#isFull()) this.#flushInBackground();
    else this.#timer ??= setTimeout(() => this.#flushInBackground(), this.#limits.flushIntervalMs);
  }

  /** Resolves when all rows taken before are in the database or were rejected. */
  async flush(): Promise<void> {
    await this.#flushing?.catch(() => {});
    this.#failure = undefined; // the rows of that flush are tried again now
    this.#flushing = this.#writeAll();
    try {
      await this.#flushing;
    } finally {
      this.#flushing = undefined;
    }
  }

  /** Flushes, and takes no more rows. The store stays open: whoever opened it closes it. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #isFull(): boolean {
    return this.#rows >= this.#limits.maxRows || this.#bytes >= this.#limits.maxBytes;
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  #flushInBackground(): void {
    if (this.#flushing !== undefined) return;
    this.#flushing = this.#writeAll()
      .catch((error: unknown) => {
        this.#failure = error;
      })
      .finally(() => {
        this.#flushing = undefined;
      });
  }

  async #writeAll(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batches = [...this.#waiting];
    this.#waiting.clear();
    this.#rows = 0;
    this.#bytes = 0;
    for (const [at, [name, rows]] of batches.entries()) {
      try {
        await this.#writeOne(name, rows);
      } catch (error) {
        for (const [other, left] of batches.slice(at)) this.#putBack(other, left);
        throw error;
      }
    }
  }

  async #writeOne(name: DatasetName, rows: readonly unknown[]): Promise<void> {
    const result = await this.#datasets[name].upsert(rows as never, {
      onRejected: (rejection) => this.#onRejected?.(name, rejection),
    });
    const { rejections: _, ...counts } = result;
    const sum = this.#counts[name];
    if (sum === undefined) this.#counts[name] = counts;
    else for (const key of Object.keys(counts) as (keyof typeof counts)[]) sum[key] += counts[key];
  }

  /** Before the rows that have come since, so that of two rows of one key the later one still wins. */
  #putBack(name: DatasetName, rows: readonly unknown[]): void {
    this.#waiting.set(name, [...rows, ...(this.#waiting.get(name) ?? [])]);
    this.#rows += rows.length;
    for (const row of rows) this.#bytes += bytesOf(row);
  }
}

function bytesOf(row: unknown, depth = 0): number {
  let bytes = ROW_BYTES;
  for (const value of Object.values(row ?? {})) {
    if (typeof value === "string") bytes += value.length;
    else if (isNested(value) && depth < MAX_DEPTH) bytes += bytesOf(value, depth + 1);
  }
  return bytes;
}

function isNested(value: unknown): boolean {
  return typeof value === "object" && value !== null && !(value instanceof Date);
}
