/**
 * Reads windows of a dataset: resolves the series, then pages through them in one snapshot, in constant memory. A page
 * is a binary COPY whose text holds nothing but numbers and times that were formatted here.
 */
import { type ReadSession, readInTenant } from "../database/session.ts";
import type { DatasetShape, StoredRow } from "../datasets/dataset.ts";
import { type ColumnPage, createColumnPage, decodeCopy } from "../datasets/derive/codec.ts";
import { formatTime } from "../datasets/values/time.ts";
import { StoreError } from "../errors/store-error.ts";
import {
  type FoundSeries,
  findSeries,
  type ReadOptions,
  type ReadTarget,
  type Series,
  type Window,
  type WindowQuery,
  windowOf,
} from "./window.ts";

/** Rows a page: about half a megabyte, and few enough that the first ones come at once. */
const PAGE_ROWS = 10_000;
/** Ids in one statement's text. */
const SERIES_PER_PAGE = 1_000;
/** What readColumns holds in memory at most: about 900 MB of bars. */
const MAX_COLUMN_ROWS = 10_000_000;

/** Rows in batches of at most 10,000, series by series in the order of their dimensions, each in time order. */
export async function* readRows<S extends DatasetShape>(
  target: ReadTarget<S>,
  query: WindowQuery<S>,
  options: ReadOptions = {},
): AsyncGenerator<StoredRow<S>[]> {
  const window = windowOf(target.dataset, query);
  const series = await findSeries(target, query, options);
  const dimensions = new Map(series.map((one) => [one.id, one.dimensions]));
  const page = createColumnPage(target.dataset, PAGE_ROWS);
  const pages = readInTenant(target.scope, options.signal, (session) =>
    pageThrough(target.dataset, session, series, window, () => {
      page.length = 0;
      return page;
    }),
  );
  for await (const filled of pages) yield rowsOf(target.dataset, filled, dimensions);
}

/** Rows as columns. */
export interface WindowColumns<S extends DatasetShape> {
  readonly length: number;
  /** The series that matched; `seriesAt` points into it. */
  readonly series: readonly Series<S>[];
  readonly seriesAt: Int32Array;
  /** Microseconds since the epoch. */
  readonly times: BigInt64Array;
  readonly values: {
    readonly [V in S["values"][number] as V["name"]]: V extends { type: "int8" } ? BigInt64Array : Float64Array;
  };
  /** For each optional column 1 where it is null; the value there is NaN or 0. */
  readonly nulls: { readonly [V in Extract<S["values"][number], { required: false }> as V["name"]]: Uint8Array };
}

/** @throws StoreError `window_too_large` past ten million rows. */
export async function readColumns<S extends DatasetShape>(
  target: ReadTarget<S>,
  query: WindowQuery<S>,
  options: ReadOptions = {},
): Promise<WindowColumns<S>> {
  const { dataset } = target;
  const window = windowOf(dataset, query);
  const series = await findSeries(target, query, options);
  let all = createColumnPage(dataset, PAGE_ROWS);
  const pages = readInTenant(target.scope, options.signal, (session) =>
    pageThrough(dataset, session, series, window, () => {
      all = withRoomFor(dataset, all, PAGE_ROWS);
      return all;
    }),
  );
  for await (const page of pages) {
    if (page.length > MAX_COLUMN_ROWS) {
      throw new StoreError(
        "window_too_large",
        `The window has more than ${MAX_COLUMN_ROWS} rows; narrow it or use read.`,
      );
    }
  }
  return columnsOfPage(all, series);
}

/** Pages of a window over several series; `room` gives the page that the next rows are appended to. */
async function* pageThrough(
  dataset: DatasetShape,
  session: ReadSession,
  series: readonly { readonly id: number }[],
  { startUs, endUs, limit, newestFirst }: Window,
  room: () => ColumnPage,
): AsyncGenerator<ColumnPage> {
  const ids = series.map((one) => one.id);
  let wanted = limit;
  let at = 0;
  let from = startUs;
  let to = endUs;
  while (at < ids.length && wanted > 0) {
    const alone = from !== startUs || to !== endUs; // a series whose first rows were on the page before
    const some = ids.slice(at, alone ? at + 1 : at + SERIES_PER_PAGE);
    const asked = Math.min(PAGE_ROWS, wanted);
    const page = room();
    const before = page.length;
    decodeCopy(await session.copyOut(pageQuery(dataset, some, from, to, newestFirst, asked)), page);
    const got = page.length - before;
    wanted -= got;
    from = startUs;
    to = endUs;
    if (got < asked) {
      at += some.length;
    } else {
      at = ids.indexOf(page.seriesIds[page.length - 1]!, at);
      const last = Number(page.times[page.length - 1]);
      if (newestFirst) to = last;
      else from = last + 1;
    }
    if (got > 0) yield page;
  }
}

function pageQuery(
  dataset: DatasetShape,
  ids: number[],
  from: number,
  to: number,
  newestFirst: boolean,
  rows: number,
): string {
  const columns = [dataset.time.name, ...dataset.values.map((value) => value.name)].join(", ");
  return `select series_id, ${columns} from mds.read_${dataset.name}(array[${ids.join(",")}]::int4[],
    '${formatTime(from)}'::timestamptz, '${formatTime(to)}'::timestamptz, ${newestFirst}, ${rows})`;
}

function rowsOf<S extends DatasetShape>(
  dataset: S,
  page: ColumnPage,
  dimensions: Map<number, Series<S>>,
): StoredRow<S>[] {
  const rows: StoredRow<S>[] = new Array(page.length);
  for (let at = 0; at < page.length; at++) {
    const row: Record<string, unknown> = { ...dimensions.get(page.seriesIds[at]!) };
    row[dataset.time.name] = page.times[at];
    for (const { column, values, nulls } of page.columns) row[column.name] = nulls[at] === 1 ? null : values[at];
    rows[at] = row as StoredRow<S>;
  }
  return rows;
}

function columnsOfPage<S extends DatasetShape>(page: ColumnPage, series: FoundSeries<S>[]): WindowColumns<S> {
  const { length, seriesIds, times, columns } = page;
  const places = new Map(series.map((one, at) => [one.id, at]));
  const optional = columns.filter(({ column }) => !column.required);
  return {
    length,
    series: series.map((one) => one.dimensions),
    seriesAt: seriesIds.subarray(0, length).map((id) => places.get(id)!),
    times: times.subarray(0, length),
    values: Object.fromEntries(columns.map(({ column, values }) => [column.name, values.subarray(0, length)])),
    nulls: Object.fromEntries(optional.map(({ column, nulls }) => [column.name, nulls.subarray(0, length)])),
  } as unknown as WindowColumns<S>;
}

/** The page itself while it has room for so many rows more, else one of twice the size with the same rows. */
function withRoomFor(dataset: DatasetShape, page: ColumnPage, rows: number): ColumnPage {
  if (page.length + rows <= page.seriesIds.length) return page;
  const larger = createColumnPage(dataset, (page.length + rows) * 2);
  larger.length = page.length;
  larger.seriesIds.set(page.seriesIds.subarray(0, page.length));
  larger.times.set(page.times.subarray(0, page.length));
  for (const [slot, { values, nulls }] of page.columns.entries()) {
    const target = larger.columns[slot]!;
    if (target.values instanceof BigInt64Array) target.values.set(values.subarray(0, page.length) as BigInt64Array);
    else target.values.set(values.subarray(0, page.length) as Float64Array);
    target.nulls.set(nulls.subarray(0, page.length));
  }
  return larger;
}
