/** One dataset of one tenant: upsert, read, readColumns and the list of series. */
import type { TenantScope } from "../database/session.ts";
import type { DatasetShape, InputRow, StoredRow } from "../datasets/dataset.ts";
import { requireFields } from "../errors/require-fields.ts";
import { PartitionCache } from "./partition-cache.ts";
import {
  type PageReadOptions,
  type RowPage,
  type RowReadOptions,
  readArrow,
  readColumns,
  readPages,
  readRows,
  type WindowColumns,
} from "./read.ts";
import { SeriesCache } from "./series-cache.ts";
import { type RowSource, type UpsertOptions, type UpsertResult, upsertRows } from "./upsert.ts";
import { type AnyColumnBatch, type ColumnBatch, upsertColumns } from "./upsert-columns.ts";
import {
  type AnsweringSeries,
  type AnyWindowQuery,
  answering,
  findSeries,
  type ReadOptions,
  type WindowQuery,
} from "./window.ts";
import type { WriteTarget } from "./write-batch.ts";

/** Without what only other parts of the store use. */
type PublicOptions<Options> = Omit<Options, "session" | "storedOnly">;

export class DatasetClient<S extends DatasetShape> {
  readonly #target: WriteTarget & { readonly dataset: S };

  constructor(scope: TenantScope, dataset: S) {
    this.#target = { scope, dataset, series: new SeriesCache(dataset), partitions: new PartitionCache(dataset.name) };
  }

  /** The dataset's definition. */
  get dataset(): S {
    return this.#target.dataset;
  }

  /**
   * Writes what differs. Of two rows of one key the later one wins; an absent field keeps what is stored, an explicit
   * null clears it. A row that cannot be stored is rejected and costs nothing else.
   *
   * @throws StoreError when the database cannot be written to; batches committed before stay, and
   *   `details.written` has their counts. Repeating the call changes nothing that is stored already.
   */
  upsert(rows: RowSource<InputRow<S>>, options?: UpsertOptions): Promise<UpsertResult> {
    return upsertRows(this.#target, rows, options);
  }

  /**
   * The same for rows that are columns already, as `readColumns` gives them, without making objects of them. `index` and
   * `row` of a rejection are the row's place in the columns and an object of its values.
   *
   * @throws StoreError `usage` where the columns do not fit each other or the dataset; nothing is written then.
   */
  upsertColumns(columns: ColumnBatch<S>, options?: UpsertOptions): Promise<UpsertResult> {
    return upsertColumns(this.#target, columns as AnyColumnBatch, options);
  }

  /**
   * @internal Writes rows whose keys are not stored, and changes none that is. A row is rejected with `key_present` when
   * its key is stored with other values, and with `field_missing` when a required field is absent.
   */
  insertAbsent(rows: RowSource<InputRow<S>>, options?: UpsertOptions): Promise<UpsertResult> {
    return upsertRows({ ...this.#target, onlyAbsent: true }, rows, options);
  }

  /**
   * The rows of a window in batches of at most 20,000, in one snapshot: series by series in the order of their
   * dimensions, each in time order. Holds one connection until it ends; leaving the loop early gives it back.
   *
   * Bars of a timeframe that is named, 5m, 15m, 1h or 1d, are read from the aggregate of the one-minute bars where a
   * vendor and symbol has none stored of that timeframe; `onSeries` tells.
   */
  read(query: WindowQuery<S>, options?: PublicOptions<RowReadOptions>): AsyncGenerator<StoredRow<S>[]> {
    return readRows(this.#target, query, options);
  }

  /** @internal The same rows as pages of columns, for files and the command. */
  readPages(query: WindowQuery<S>, options?: PageReadOptions): AsyncGenerator<RowPage> {
    return readPages(this.#target, query, options);
  }

  /** The rows of a window as typed arrays, ten million at most. */
  readColumns(query: WindowQuery<S>, options?: ReadOptions): Promise<WindowColumns<S>> {
    return readColumns(this.#target, query, options);
  }

  /**
   * The rows of a window as an Arrow IPC stream, in pieces as they come: dimensions as dictionaries, times as
   * timestamps in microseconds, UTC, float8 and int8 as they are, all else as text. For DuckDB, pandas, Polars and the like.
   */
  readArrow(query: WindowQuery<S>, options?: PublicOptions<PageReadOptions>): AsyncGenerator<Uint8Array> {
    return readArrow(this.#target, query, options);
  }

  /**
   * The tenant's series that match; `ignoreCase` also finds those spelt in another case. Where a timeframe of bars is
   * named, those that an aggregate answers for are among them.
   */
  async series(
    query: WindowQuery<S>,
    options: ReadOptions & { readonly ignoreCase?: boolean } = {},
  ): Promise<readonly AnsweringSeries<S>[]> {
    requireFields("A list of series", options, ["signal", "ignoreCase"]);
    const found = await findSeries(this.#target, query, options);
    return found.map((one) => answering(this.dataset, one));
  }
}

/** A dataset's client where the dataset is only known at run time: rows and queries are checked there. */
export interface AnyDatasetClient {
  readonly dataset: DatasetShape;
  upsert(rows: RowSource<unknown>, options?: UpsertOptions): Promise<UpsertResult>;
  upsertColumns(columns: AnyColumnBatch, options?: UpsertOptions): Promise<UpsertResult>;
  /** @internal Writes rows whose keys are not stored, and changes none that is. */
  insertAbsent(rows: RowSource<unknown>, options?: UpsertOptions): Promise<UpsertResult>;
  read(
    query: AnyWindowQuery,
    options?: PublicOptions<RowReadOptions>,
  ): AsyncGenerator<Readonly<Record<string, unknown>>[]>;
  /** @internal The same rows as pages of columns, for files and the command. */
  readPages(query: AnyWindowQuery, options?: PageReadOptions): AsyncGenerator<RowPage>;
  readArrow(query: AnyWindowQuery, options?: PublicOptions<PageReadOptions>): AsyncGenerator<Uint8Array>;
  series(
    query: AnyWindowQuery,
    options?: ReadOptions & { readonly ignoreCase?: boolean },
  ): Promise<readonly Readonly<Record<string, string>>[]>;
}
