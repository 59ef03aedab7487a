/**
 * Pages through a window over several series in one snapshot. A page is a binary COPY whose text holds nothing but
 * numbers, times and hex that were formatted here.
 */
import type { ReadSession } from "../database/session.ts";
import type { DatasetShape, ValueColumn } from "../datasets/dataset.ts";
import { type ColumnPage, decodeCopy } from "../datasets/derive/codec.ts";
import { formatTime } from "../datasets/values/time.ts";
import type { Window } from "./window.ts";

/** Rows a page: about a megabyte, and few enough that the first ones come at once. */
export const PAGE_ROWS = 10_000;
/** Ids in one statement's text. */
const SERIES_PER_PAGE = 1_000;

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

/** Pages of a window over several series; `room` gives the page that the next rows are appended to. */
export async function* pageThrough(
  dataset: DatasetShape,
  session: ReadSession,
  series: readonly { readonly id: number }[],
  window: Window,
  room: () => ColumnPage,
): AsyncGenerator<ColumnPage> {
  const ids = series.map((one) => one.id);
  const start = (at: number): Position => ({ series: at, startUs: window.startUs, endUs: window.endUs, alone: false });
  let wanted = window.limit;
  let position = start(0);
  while (position.series < ids.length && wanted > 0) {
    const some = ids.slice(position.series, position.series + (position.alone ? 1 : SERIES_PER_PAGE));
    const asked = Math.min(PAGE_ROWS, wanted);
    const page = room();
    const before = page.length;
    decodeCopy(await session.copyOut(pageQuery(dataset, some, position, window.newestFirst, asked)), page);
    const got = page.length - before;
    wanted -= got;
    position = got < asked ? start(position.series + some.length) : behindLast(page, ids, position, window);
    if (got > 0) yield page;
  }
}

function behindLast(page: ColumnPage, ids: readonly number[], from: Position, window: Window): Position {
  const row = page.length - 1;
  const series = ids.indexOf(page.seriesIds[row]!, from.series);
  const last = Number(page.times[row]);
  const afterKey = page.contentKeys?.[row];
  const bounds = window.newestFirst
    ? { startUs: window.startUs, endUs: last }
    : { startUs: afterKey === undefined ? last + 1 : last, endUs: window.endUs };
  return { series, ...bounds, alone: true, ...(afterKey !== undefined && { afterKey }) };
}

function pageQuery(
  dataset: DatasetShape,
  ids: number[],
  { startUs, endUs, afterKey }: Position,
  newestFirst: boolean,
  rows: number,
): string {
  const { name, time, contentKey, values } = dataset;
  const columns = [
    "series_id",
    time.name,
    ...(contentKey ? [contentKey.name] : []),
    ...values.map((value) => TEXT_FORMS[value.type](value.name)),
  ];
  const after = afterKey === undefined ? "null" : `'\\x${afterKey}'::bytea`;
  return `select ${columns.join(", ")} from mds.read_${name}(array[${ids.join(",")}]::int4[],
    '${formatTime(startUs)}'::timestamptz, '${formatTime(endUs)}'::timestamptz,
    ${contentKey ? `${after}, ` : ""}${newestFirst}, ${rows})`;
}

/** How a column of each type is fetched. */
const TEXT_FORMS: Readonly<Record<ValueColumn["type"], (name: string) => string>> = {
  float8: (name) => name,
  int8: (name) => name,
  numeric: (name) => `trim_scale(${name})::text`,
  text: (name) => name,
  json: (name) => `${name}::text`,
};
