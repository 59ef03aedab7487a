/** Reads windows of a dataset, as batches of row objects in constant memory or as typed arrays. */
import { openReadSession, type ReadSession } from "../database/session.ts";
import type { DatasetShape, StoredRow } from "../datasets/dataset.ts";
import { type ColumnPage, createColumnPage } from "../datasets/derive/codec.ts";
import type { ValueBuffer } from "../datasets/derive/row-batch.ts";
import { parseJsonText } from "../datasets/values/json-text.ts";
import { requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import { ArrowStream } from "./arrow-stream.ts";
import { PAGE_ROWS, pageThrough } from "./page-through.ts";
import {
  type AnsweringSeries,
  answering,
  type FoundSeries,
  findSeriesInSession,
  type ReadOptions,
  type ReadTarget,
  type Series,
  seriesPages,
  type WindowQuery,
  windowOf,
} from "./window.ts";

/** What readColumns holds in memory at most: about 900 MB of bars. */
const MAX_COLUMN_ROWS = 10_000_000;

const OPTIONS = ["signal", "onSeries", "jsonAsText"];

function requireReadOptions(options: ReadOptions): void {
  requireFields("A reading", options, OPTIONS, ["session", "storedOnly"]);
}

/** Rows in batches of at most 20,000, series by series in the order of their dimensions, each in time order. */
export async function* readRows<S extends DatasetShape>(
  target: ReadTarget<S>,
  query: WindowQuery<S>,
  options: RowReadOptions = {},
): AsyncGenerator<StoredRow<S>[]> {
  for await (const { rows, series } of readPages(target, query, options)) {
    yield rowsOf(target.dataset, rows, series as ReadonlyMap<number, Series<S>>, options.jsonAsText ?? false);
  }
}

/** Rows as they came, column by column; good until the next page is asked for. */
export interface RowPage {
  readonly rows: ColumnPage;
  /** Dimensions by series id. */
  readonly series: ReadonlyMap<number, Readonly<Record<string, string>>>;
}

/** The same rows without making objects of them, for what only passes them on. */
export async function* readPages<S extends DatasetShape>(
  target: ReadTarget<S>,
  query: WindowQuery<S>,
  options: PageReadOptions = {},
): AsyncGenerator<RowPage> {
  requireReadOptions(options);
  const window = windowOf(target.dataset, query);
  const page = createColumnPage(target.dataset, PAGE_ROWS);
  const emptyPage = (): ColumnPage => {
    page.length = 0;
    return page;
  };
  let wanted = window.limit;
  let session = options.session;
  try {
    for await (const found of seriesPages(target, query, options)) {
      session ??= await openReadSession(target.scope, options.signal);
      options.onSeries?.(found.map((one) => answering(target.dataset, one)));
      const series = new Map(found.map((one) => [one.id, one.dimensions]));
      const some = { ...window, limit: wanted };
      for await (const rows of pageThrough(target.dataset, session, found, some, emptyPage)) {
        wanted -= rows.length;
        yield { rows, series };
      }
      if (wanted <= 0) return;
    }
  } finally {
    if (session !== options.session) await session?.close();
  }
}

export interface PageReadOptions extends ReadOptions {
  /**
   * Told which series answer, before their rows come, a hundred thousand at most at a time. Those of bars say in
   * `source` whether their rows are stored or aggregated.
   */
  readonly onSeries?: (series: readonly Readonly<Record<string, string>>[]) => void;
  /** @internal The transaction of a snapshot. */
  readonly session?: ReadSession;
  /** @internal Only what is stored: aggregates do not stand in for it. */
  readonly storedOnly?: boolean;
}

export interface RowReadOptions extends PageReadOptions {
  /** JSON values as their text, which keeps every digit, and not as objects. */
  readonly jsonAsText?: boolean;
}

/** Rows as columns. */
export interface WindowColumns<S extends DatasetShape> {
  readonly length: number;
  /** The series that matched; `seriesAt` points into it. */
  readonly series: readonly AnsweringSeries<S>[];
  readonly seriesAt: Int32Array;
  /** Microseconds since the epoch. */
  readonly times: BigInt64Array;
  readonly values: {
    readonly [V in S["values"][number] as V["name"]]: {
      float8: Float64Array;
      int8: BigInt64Array;
      numeric: readonly string[];
      text: readonly string[];
      json: readonly string[];
    }[V["type"]];
  };
  /** For each optional column 1 where it is null; the value there is NaN, 0 or the empty text. */
  readonly nulls: { readonly [V in Extract<S["values"][number], { required: false }> as V["name"]]: Uint8Array };
}

/** @throws StoreError `window_too_large` past ten million rows. */
export async function readColumns<S extends DatasetShape>(
  target: ReadTarget<S>,
  query: WindowQuery<S>,
  options: ReadOptions = {},
): Promise<WindowColumns<S>> {
  const { dataset } = target;
  requireReadOptions(options);
  const window = windowOf(dataset, query);
  const { session, found: series } = await findSeriesInSession(target, query, options);
  let all = createColumnPage(dataset, PAGE_ROWS);
  const roomyPage = (): ColumnPage => {
    all = withRoomFor(dataset, all, PAGE_ROWS);
    return all;
  };
  try {
    for await (const page of pageThrough(dataset, session, series, window, roomyPage)) {
      if (page.length > MAX_COLUMN_ROWS) {
        throw new StoreError(
          "window_too_large",
          `The window has more than ${MAX_COLUMN_ROWS} rows; narrow it or use read.`,
        );
      }
    }
  } finally {
    await session.close();
  }
  return columnsOfPage(dataset, all, series);
}

/**
 * The same rows as an Arrow IPC stream, in pieces; a record batch has 20,000 rows at most.
 *
 * @throws StoreError `window_too_large` past a hundred thousand series.
 */
export async function* readArrow<S extends DatasetShape>(
  target: ReadTarget<S>,
  query: WindowQuery<S>,
  options: PageReadOptions = {},
): AsyncGenerator<Uint8Array> {
  const { dataset } = target;
  requireReadOptions(options);
  const window = windowOf(dataset, query);
  const { session, found } = await findSeriesInSession(target, query, options);
  try {
    options.onSeries?.(found.map((one) => answering(dataset, one)));
    const page = createColumnPage(dataset, PAGE_ROWS);
    const emptyPage = (): ColumnPage => {
      page.length = 0;
      return page;
    };
    const stream = await ArrowStream.open(dataset, found);
    yield stream.head(page);
    for await (const rows of pageThrough(dataset, session, found, window, emptyPage)) yield stream.batch(rows);
    yield stream.end();
  } finally {
    await session.close();
  }
}

function rowsOf<S extends DatasetShape>(
  dataset: S,
  page: ColumnPage,
  dimensions: ReadonlyMap<number, Series<S>>,
  jsonAsText: boolean,
): StoredRow<S>[] {
  const rows: StoredRow<S>[] = new Array(page.length);
  for (let at = 0; at < page.length; at++) {
    const row: Record<string, unknown> = { ...dimensions.get(page.seriesIds[at]!) };
    row[dataset.time.name] = page.times[at];
    for (const { column, values, nulls } of page.columns) {
      if (nulls[at] === 1) row[column.name] = null;
      else row[column.name] = column.type === "json" && !jsonAsText ? parseJsonText(values[at] as string) : values[at];
    }
    rows[at] = row as StoredRow<S>;
  }
  return rows;
}

function columnsOfPage<S extends DatasetShape>(
  dataset: S,
  page: ColumnPage,
  series: readonly FoundSeries<S>[],
): WindowColumns<S> {
  const { length, seriesIds, times, columns } = page;
  const places = new Map(series.map((one, at) => [one.id, at]));
  const optional = columns.filter(({ column }) => !column.required);
  return {
    length,
    series: series.map((one) => answering(dataset, one)),
    seriesAt: placesOf(seriesIds.subarray(0, length), places),
    times: times.subarray(0, length),
    values: Object.fromEntries(columns.map(({ column, values }) => [column.name, firstValues(values, length)])),
    nulls: Object.fromEntries(optional.map(({ column, nulls }) => [column.name, nulls.subarray(0, length)])),
  } as unknown as WindowColumns<S>;
}

/** Neighbours are mostly of one series. */
function placesOf(ids: Int32Array, places: ReadonlyMap<number, number>): Int32Array {
  let [last, place] = [Number.NaN, -1];
  return ids.map((id) => {
    if (id !== last) [last, place] = [id, places.get(id)!];
    return place;
  });
}

/** The page itself while it has room for so many rows more, else one of twice the size with the same rows. */
function withRoomFor(dataset: DatasetShape, page: ColumnPage, rows: number): ColumnPage {
  if (page.length + rows <= page.seriesIds.length) return page;
  const larger = createColumnPage(dataset, (page.length + rows) * 2);
  larger.length = page.length;
  larger.seriesIds.set(page.seriesIds.subarray(0, page.length));
  larger.times.set(page.times.subarray(0, page.length));
  copyValues(page.contentKeys ?? [], larger.contentKeys ?? [], page.contentKeys ? page.length : 0);
  for (const [slot, { values, nulls }] of page.columns.entries()) {
    copyValues(values, larger.columns[slot]!.values, page.length);
    larger.columns[slot]!.nulls.set(nulls.subarray(0, page.length));
  }
  return larger;
}

function firstValues(values: ValueBuffer["values"], length: number): ValueBuffer["values"] {
  return Array.isArray(values) ? values.slice(0, length) : values.subarray(0, length);
}

function copyValues(from: ValueBuffer["values"], to: ValueBuffer["values"], length: number): void {
  if (from instanceof Float64Array && to instanceof Float64Array) to.set(from.subarray(0, length));
  else if (from instanceof BigInt64Array && to instanceof BigInt64Array) to.set(from.subarray(0, length));
  else for (let at = 0; at < length; at++) to[at] = from[at]!;
}
