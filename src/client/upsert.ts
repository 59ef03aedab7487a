/**
 * Upserts any number of rows, batch by batch: while the database writes one, the next is read and validated. Each batch
 * is a transaction of its own, in the order of the rows, so that of two rows of one key the later one wins.
 */
import { setImmediate as immediate } from "node:timers/promises";
import type { Rejection } from "../datasets/dataset.ts";
import { RowBatch } from "../datasets/derive/row-batch.ts";
import { showValue } from "../datasets/values/show-value.ts";
import type { TimeZone } from "../datasets/values/time-zone.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import { type WriteCounts, type WriteTarget, writeBatch } from "./write-batch.ts";

/** Measured: larger batches gain under 5 % and cost memory and latency; see docs/decisions/upsert.md. */
export const DEFAULT_BATCH_ROWS = 5_000;
export const MAX_BATCH_ROWS = 50_000;
/** Rows validated before the event loop gets its turn: a quarter of a millisecond, for which the server may have to wait. */
const ROWS_PER_TURN = 250;
/** How many rejections a result lists; `onRejected` is told of all. */
const MAX_LISTED_REJECTIONS = 100;

const OPTIONS = fieldsOf<Omit<UpsertOptions, "placeOf">>({
  signal: true,
  batchRows: true,
  timeZone: true,
  onRejected: true,
  onBatch: true,
});

/** A row that was not stored, and why. */
export interface RowRejection {
  /** Place of the row among those given, from 0. */
  readonly index: number;
  readonly code: ErrorCode;
  readonly message: string;
  /** The row; where only the database could tell, as it was understood: times as bigint, numbers as numbers. */
  readonly row: unknown;
}

/** What became of the rows: the five counts add up to the rows given. */
export interface UpsertResult extends WriteCounts {
  rejected: number;
  /** The first hundred rejections. */
  readonly rejections: RowRejection[];
}

export interface UpsertOptions {
  readonly signal?: AbortSignal;
  /** Rows a transaction, 1 to 50,000; 5,000 unless given. */
  readonly batchRows?: number;
  /** Zone of times that name none; without it such rows are rejected. */
  readonly timeZone?: TimeZone;
  /** Told of every rejected row, in no particular order. */
  readonly onRejected?: (rejection: RowRejection) => void;
  /** @internal A row's place where it is another one, such as a line of a file. */
  readonly placeOf?: (row: unknown) => number;
  /** Told of the counts after each committed batch, and of its rows, which are good until it returns. */
  readonly onBatch?: (soFar: Readonly<UpsertResult>, rows: WrittenRows) => void;
}

/** The rows of a batch: their series, by dimensions in the dataset's order, and of the first `size` their times. */
export type WrittenRows = Pick<RowBatch, "series" | "times" | "size">;

/** How rows get into a batch, and how a rejected one is shown. */
export interface RowTaker {
  readonly add: (batch: RowBatch, row: unknown) => Rejection | undefined;
  readonly show: (row: unknown) => unknown;
}

const OBJECTS: RowTaker = { add: (batch, row) => batch.add(row), show: (row) => row };

/** Rows one by one, or in arrays of any length where the source is asynchronous. */
export type RowSource<Row> = Iterable<Row> | AsyncIterable<Row | readonly Row[]>;

/**
 * A batch on its way, with what is needed to report on it. The rows that were given are not: keeping them until they
 * are written costs a fifth of the client's time, since the collector then copies each of them.
 */
interface FilledBatch {
  readonly batch: RowBatch;
  readonly indexes: number[];
}

/**
 * @throws StoreError when a batch could not be written. Batches before it stay; `details.written` has their counts.
 */
export async function upsertRows<Row>(
  target: WriteTarget,
  source: RowSource<Row>,
  options: UpsertOptions = {},
  taker: RowTaker = OBJECTS,
): Promise<UpsertResult> {
  return new Upsert(target, options, taker).run(source);
}

class Upsert {
  readonly #target: WriteTarget;
  readonly #options: UpsertOptions;
  readonly #taker: RowTaker;
  readonly #result: UpsertResult = {
    inserted: 0,
    updated: 0,
    unchanged: 0,
    superseded: 0,
    rejected: 0,
    rejections: [],
  };
  /** The batch that is being filled, and those that come after it: one is sent and one made ready meanwhile. */
  #filling: FilledBatch;
  readonly #spare: FilledBatch[] = [];
  /** The end of the last batch, and of the one before it. */
  #writing: Promise<void> = Promise.resolve();
  #before: Promise<void> = Promise.resolve();
  #taken = 0;

  constructor(target: WriteTarget, options: UpsertOptions, taker: RowTaker) {
    requireFields("upsert", options, OPTIONS, ["placeOf"]);
    if (options.timeZone !== undefined && typeof options.timeZone?.instantOf !== "function") {
      throw new StoreError("usage", 'timeZone is no time zone; make it with timeZone("Europe/Berlin").');
    }
    this.#target = target;
    this.#options = options;
    this.#taker = taker;
    this.#filling = this.#newBatch();
  }

  async run(source: RowSource<unknown>): Promise<UpsertResult> {
    try {
      await this.#takeFrom(source);
      await this.#writing;
    } catch (error) {
      await this.#writing.catch(() => {});
      throw this.#withCounts(error);
    }
    return this.#result;
  }

  /** Rows that came before the source failed are written all the same. */
  async #takeFrom(source: RowSource<unknown>): Promise<void> {
    const rows = flattened(source);
    for (;;) {
      const next = await this.#nextOrFlush(rows);
      if (next === undefined) break;
      for (const row of next) if (this.#take(row)) await this.#pause();
    }
    await this.#dispatch();
  }

  async #nextOrFlush(rows: AsyncIterator<Iterable<unknown>>): Promise<Iterable<unknown> | undefined> {
    try {
      const next = await rows.next();
      return next.done === true ? undefined : next.value;
    } catch (error) {
      if (!this.#options.signal?.aborted) {
        await this.#dispatch();
        await this.#writing;
      }
      throw error;
    }
  }

  /** True when it is time to pause: the batch is full, or the event loop should get its turn. */
  #take(row: unknown): boolean {
    const { batch, indexes } = this.#filling;
    const { placeOf } = this.#options;
    const taken = this.#taken++;
    const index = placeOf === undefined ? taken : placeOf(row);
    const rejection = this.#taker.add(batch, row);
    if (rejection === undefined) indexes.push(index);
    else this.#reject({ index, ...rejection, row: this.#taker.show(row) });
    return batch.full || taken % ROWS_PER_TURN === ROWS_PER_TURN - 1;
  }

  async #pause(): Promise<void> {
    if (this.#options.signal?.aborted) throw new StoreError("aborted", "The call was stopped by its caller.");
    if (this.#filling.batch.full) await this.#dispatch();
    await immediate();
  }

  /** Waits until only one batch is under way, lets this one follow it, and goes on filling another. */
  async #dispatch(): Promise<void> {
    await this.#before;
    const turn = this.#writing;
    this.#before = turn;
    this.#writing = this.#write(this.#filling, turn);
    this.#writing.catch(() => {}); // Seen by the next wait.
    this.#filling = this.#spare.pop() ?? this.#newBatch();
  }

  async #write(filled: FilledBatch, turn: Promise<void>): Promise<void> {
    const { batch, indexes } = filled;
    if (batch.size === 0) await turn;
    else {
      const outcome = await writeBatch(this.#target, batch, turn, this.#options.signal);
      for (const name of ["inserted", "updated", "unchanged", "superseded"] as const)
        this.#result[name] += outcome[name];
      for (const { row, rejection } of outcome.rejections) {
        this.#reject({ index: indexes[row]!, ...rejection, row: batch.rowAt(row) });
      }
      this.#options.onBatch?.(this.#result, batch);
    }
    batch.clear();
    indexes.length = 0;
    this.#spare.push(filled);
  }

  #reject(rejection: RowRejection): void {
    this.#result.rejected++;
    if (this.#result.rejections.length < MAX_LISTED_REJECTIONS) this.#result.rejections.push(rejection);
    this.#options.onRejected?.(rejection);
  }

  #newBatch(): FilledBatch {
    const size = this.#options.batchRows ?? DEFAULT_BATCH_ROWS;
    if (!Number.isInteger(size) || size < 1 || size > MAX_BATCH_ROWS) {
      throw new StoreError("usage", `batchRows is ${size}; it must be a whole number from 1 to ${MAX_BATCH_ROWS}.`);
    }
    return { batch: new RowBatch(this.#target.dataset, size, this.#options.timeZone), indexes: [] };
  }

  #withCounts(error: unknown): unknown {
    if (!(error instanceof StoreError)) return error;
    const { inserted, updated, unchanged, superseded, rejected } = this.#result;
    const written = { inserted, updated, unchanged, superseded, rejected };
    return new StoreError(error.code, error.message, { cause: error, details: { ...error.details, written } });
  }
}

/** Every source as arrays of rows; a single row of an asynchronous source as an array of one. */
async function* flattened(source: RowSource<unknown>): AsyncGenerator<Iterable<unknown>> {
  const isSource =
    typeof source === "object" && source !== null && (Symbol.asyncIterator in source || Symbol.iterator in source);
  if (!isSource) {
    throw new StoreError("usage", `upsert takes rows in an array or another iterable, not ${showValue(source)}.`);
  }
  if (!(Symbol.asyncIterator in source)) {
    yield source;
    return;
  }
  for await (const item of source) yield Array.isArray(item) ? item : [item];
}
