/**
 * Pages through a window over several series in one snapshot. A page is a binary COPY whose text holds nothing but
 * numbers, times and hex that were formatted here. While one page is used, the server works on the next.
 */
import { setImmediate as immediate } from "node:timers/promises";
import type { ReadSession } from "../database/session.ts";
import type { DatasetShape, ValueColumn } from "../datasets/dataset.ts";
import { type ColumnPage, decodeCopy, type LastRow, lastRowOf } from "../datasets/derive/codec.ts";
import { decodeColumns, hasColumnForm, lastOfColumns } from "../datasets/derive/column-form.ts";
import { formatTime } from "../datasets/values/time.ts";
import type { FoundSeries, Window } from "./window.ts";

/** Rows a page at most: about two megabytes of bars, and few enough that the first ones come at once. */
export const PAGE_ROWS = 20_000;
/** Rows with texts may have a megabyte each, so the first page of a dataset with texts is small. */
const FIRST_PAGE_ROWS_WITH_TEXTS = 100;
/** What a page may grow to, as far as the page before tells. */
const PAGE_BYTES = 4 * 1_048_576;
/** How much larger than the page before a page may be. */
const MAX_GROWTH = 8;
/** Ids in one statement's text. */
const SERIES_PER_PAGE = 1_000;

type PagedSeries = Pick<FoundSeries<DatasetShape>, "id" | "aggregate">;

/** Where the next page begins: at a series, and within it behind its last row that was read. */
interface Position {
  readonly series: number;
  readonly startUs: number;
  readonly endUs: number;
  /** Hex; with it rows of the time at the bound are taken up behind this key. */
  readonly afterKey?: string;
  /** Only this one series: its window is not that of the others. */
  readonly alone: boolean;
}

/** A page that the server is working on. */
interface ComingPage {
  readonly from: Position;
  readonly series: readonly PagedSeries[];
  readonly rows: number;
  readonly form: PageForm;
  readonly bytes: Promise<Buffer>;
}

/**
 * Pages of a window over several series.
 *
 * @param room - Gives the page that the next rows are appended to.
 */
export async function* pageThrough(
  dataset: DatasetShape,
  session: ReadSession,
  series: readonly PagedSeries[],
  window: Window,
  room: () => ColumnPage,
): AsyncGenerator<ColumnPage> {
  const ids = series.map((one) => one.id);
  const start = (at: number): Position => ({ series: at, startUs: window.startUs, endUs: window.endUs, alone: false });
  let wanted = window.limit;
  let pageRows = dataset.values.some(({ type }) => HAS_LENGTH[type]) ? FIRST_PAGE_ROWS_WITH_TEXTS : PAGE_ROWS;
  const ask = (from: Position): ComingPage | undefined => {
    if (from.series >= ids.length || wanted <= 0) return undefined;
    const some = ofOneTable(series, from);
    const rows = Math.min(pageRows, wanted);
    const form = some[0]!.aggregate === undefined && hasColumnForm(dataset) ? COLUMNS : ROWS;
    const bytes = session.copyOut(pageQuery(dataset, form, some, from, window.newestFirst, rows));
    bytes.catch(() => {}); // Seen where it is waited for.
    return { from, series: some, rows, form, bytes };
  };
  let coming = ask(start(0));
  try {
    while (coming !== undefined) {
      const { from, series: asked, rows, form, bytes: arriving } = coming;
      const bytes = await arriving;
      const last = form.lastRow(bytes, dataset);
      const got = last?.rows ?? 0;
      wanted -= got;
      pageRows = nextPageRows(rows, got, bytes.length);
      // Asked for first, so that the server works while this page is decoded.
      coming = ask(
        last === undefined || got < rows
          ? start(from.series + asked.length)
          : behindLast(last, placeOf(asked, last.seriesId, ids, from), window),
      );
      if (got === 0) continue;
      if (coming !== undefined) await immediate(); // the question leaves when the end of the answer before it is read
      const page = room();
      const before = page.length;
      form.decode(bytes, page);
      renameSeries(page, before, asked);
      yield page;
    }
  } finally {
    // Whoever leaves early gets a connection that is free.
    await coming?.bytes.catch(() => {});
  }
}

/** The next series, as far as their rows are read from the same table. */
function ofOneTable(series: readonly PagedSeries[], from: Position): PagedSeries[] {
  const some = series.slice(from.series, from.series + (from.alone ? 1 : SERIES_PER_PAGE));
  const other = some.findIndex(({ aggregate }) => aggregate?.name !== some[0]!.aggregate?.name);
  return other === -1 ? some : some.slice(0, other);
}

/** Rows of an aggregate come under the ids of the finer series. */
function renameSeries(page: ColumnPage, first: number, asked: readonly PagedSeries[]): void {
  if (asked[0]!.aggregate === undefined) return;
  const ids = new Map(asked.map(({ id, aggregate }) => [aggregate!.seriesId, id]));
  for (let at = first; at < page.length; at++) page.seriesIds[at] = ids.get(page.seriesIds[at]!)!;
}

/** Rows of the next page, after one of which so many were asked for and came. */
function nextPageRows(asked: number, got: number, bytes: number): number {
  const fitting = Math.ceil(PAGE_BYTES / (bytes / Math.max(got, 1)));
  return Math.max(1, Math.min(PAGE_ROWS, fitting, asked * MAX_GROWTH));
}

/** The place of a series by the id that its rows have in the table that they are read from. */
function placeOf(asked: readonly PagedSeries[], rowId: number, ids: readonly number[], from: Position): number {
  const found = asked.find(({ id, aggregate }) => (aggregate?.seriesId ?? id) === rowId)!;
  return ids.indexOf(found.id, from.series);
}

function behindLast({ timeUs: last, contentKey: afterKey }: LastRow, series: number, window: Window): Position {
  const bounds = window.newestFirst
    ? { startUs: window.startUs, endUs: last }
    : { startUs: afterKey === undefined ? last + 1 : last, endUs: window.endUs };
  return { series, ...bounds, alone: true, ...(afterKey !== undefined && { afterKey }) };
}

function pageQuery(
  dataset: DatasetShape,
  form: PageForm,
  series: readonly PagedSeries[],
  { startUs, endUs, afterKey }: Position,
  newestFirst: boolean,
  rows: number,
): string {
  const { contentKey } = dataset;
  const name = series[0]!.aggregate?.name ?? dataset.name;
  const ids = series.map(({ id, aggregate }) => aggregate?.seriesId ?? id);
  const after = afterKey === undefined ? "null" : `'\\x${afterKey}'::bytea`;
  return `select ${form.select(dataset)} from mds.read_${name}${form.suffix}(array[${ids.join(",")}]::int4[],
    '${formatTime(startUs)}'::timestamptz, '${formatTime(endUs)}'::timestamptz,
    ${contentKey ? `${after}, ` : ""}${newestFirst}, ${rows})`;
}

/** Types whose values may be long. */
const HAS_LENGTH: Readonly<Record<ValueColumn["type"], boolean>> = {
  float8: false,
  int8: false,
  numeric: false,
  text: true,
  json: true,
};

/** How a page comes. */
interface PageForm {
  /** Of the function's name. */
  readonly suffix: string;
  readonly select: (dataset: DatasetShape) => string;
  readonly lastRow: (bytes: Buffer, dataset: DatasetShape) => LastRow | undefined;
  readonly decode: (bytes: Buffer, page: ColumnPage) => void;
}

const ROWS: PageForm = { suffix: "", select: rowFields, lastRow: lastRowOf, decode: decodeCopy };
const COLUMNS: PageForm = {
  suffix: "_columns",
  select: ({ time, values }) => ["series_id", time.name, ...values.map(({ name }) => name)].join(", "),
  lastRow: lastOfColumns,
  decode: decodeColumns,
};

function rowFields({ time, contentKey, values }: DatasetShape): string {
  const fields = values.map((value) => TEXT_FORMS[value.type](value.name));
  return ["series_id", time.name, ...(contentKey ? [contentKey.name] : []), ...fields].join(", ");
}

/** How a column of each type is fetched. */
const TEXT_FORMS: Readonly<Record<ValueColumn["type"], (name: string) => string>> = {
  float8: (name) => name,
  int8: (name) => name,
  numeric: (name) => `trim_scale(${name})::text`,
  text: (name) => name,
  json: (name) => `${name}::text`,
};
