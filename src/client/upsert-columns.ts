/** Rows as columns, straight into batches: no row objects are made. Each row is checked as ever. */
import type { DatasetShape, Rejection, ValueColumn } from "../datasets/dataset.ts";
import type { ColumnRows, RowBatch } from "../datasets/derive/row-batch.ts";
import { requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import { type RowTaker, type UpsertOptions, type UpsertResult, upsertRows } from "./upsert.ts";
import type { Series } from "./window.ts";
import type { WriteTarget } from "./write-batch.ts";

interface ArrayOf {
  float8: Float64Array;
  int8: BigInt64Array;
  numeric: readonly string[];
  text: readonly string[];
  json: readonly string[];
}

/** Rows as columns of one length, as `readColumns` gives them. */
export interface ColumnBatch<S extends DatasetShape> {
  /** Dimensions; `seriesAt` points into it. What else an entry has is not read. */
  readonly series: readonly Series<S>[];
  readonly seriesAt: Int32Array;
  /** Microseconds since the epoch. */
  readonly times: BigInt64Array;
  /** A column that is left out is absent from every row. */
  readonly values: { readonly [V in S["values"][number] as V["name"]]?: ArrayOf[V["type"]] };
  /** For optional columns 1 where the value is null; without it none is. */
  readonly nulls?: { readonly [V in Extract<S["values"][number], { required: false }> as V["name"]]?: Uint8Array };
}

/** The same where the dataset is only known at run time. */
export interface AnyColumnBatch {
  readonly series: readonly Readonly<Record<string, string>>[];
  readonly seriesAt: Int32Array;
  readonly times: BigInt64Array;
  readonly values: Readonly<Record<string, Float64Array | BigInt64Array | readonly string[]>>;
  readonly nulls?: Readonly<Record<string, Uint8Array>>;
}

/** @throws StoreError `usage` where the columns do not fit each other or the dataset, and as `upsertRows`. */
export async function upsertColumns(
  target: WriteTarget,
  batch: AnyColumnBatch,
  options?: UpsertOptions,
): Promise<UpsertResult> {
  const rows = checkedRows(target.dataset, batch);
  return upsertRows(target, places(rows.times.length), options, takerOf(target.dataset, rows));
}

function* places(length: number): Generator<number> {
  for (let at = 0; at < length; at++) yield at;
}

function takerOf(dataset: DatasetShape, rows: ColumnRows): RowTaker {
  return {
    add: (batch: RowBatch, row: unknown): Rejection | undefined => batch.addFrom(rows, row as number),
    show: (row: unknown): unknown => rowAt(dataset, rows, row as number),
  };
}

function rowAt({ dimensions, time, values }: DatasetShape, rows: ColumnRows, at: number): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  const series = rows.series[rows.seriesAt[at]!]!;
  for (const [place, { name }] of dimensions.entries()) row[name] = series[place];
  row[time.name] = rows.times[at];
  for (const [slot, { name }] of values.entries()) {
    const column = rows.columns[slot];
    if (column !== undefined) row[name] = column.nulls?.[at] === 1 ? null : column.values[at];
  }
  return row;
}

function checkedRows(dataset: DatasetShape, batch: AnyColumnBatch): ColumnRows {
  // What readColumns gives has its length besides.
  requireFields("upsertColumns", batch, ["series", "seriesAt", "times", "values", "nulls"], ["length"]);
  const { series, seriesAt, times, values, nulls = {} } = batch;
  if (typeof values !== "object" || values === null) throw misfit("values is no object of arrays");
  if (!Array.isArray(series)) throw misfit("series is not an array of the series' dimensions");
  if (!(seriesAt instanceof Int32Array)) throw misfit("seriesAt is not an Int32Array");
  if (!(times instanceof BigInt64Array)) throw misfit("times is not a BigInt64Array of microseconds since the epoch");
  const { length } = times;
  requireLength("seriesAt", seriesAt, length);
  const stray = seriesAt.findIndex((place) => place < 0 || place >= series.length);
  if (stray !== -1) throw misfit(`seriesAt[${stray}] is ${seriesAt[stray]}, and there are ${series.length} series`);
  requireKnown(dataset.values, values, "values");
  const optional = dataset.values.filter(({ required }) => !required);
  requireKnown(optional, nulls, "nulls");
  return {
    series: series.map((one, place) => dimensionsOf(dataset, one, place)),
    seriesAt,
    times,
    columns: dataset.values.map((column) => checkedColumn(column, values[column.name], nulls[column.name], length)),
  };
}

function dimensionsOf(
  { dimensions }: DatasetShape,
  series: Readonly<Record<string, unknown>>,
  place: number,
): unknown[] {
  return dimensions.map(({ name }) => {
    const value = series?.[name];
    if (value === undefined) throw misfit(`series[${place}] has no ${name}`);
    return value;
  });
}

function checkedColumn(
  { name, type }: ValueColumn,
  values: AnyColumnBatch["values"][string] | undefined,
  nulls: Uint8Array | undefined,
  length: number,
): ColumnRows["columns"][number] {
  if (values === undefined) {
    if (nulls === undefined) return undefined;
    throw misfit(`nulls.${name} comes without values.${name}`);
  }
  const [Kind, kind] = KINDS[type];
  if (!(values instanceof Kind)) throw misfit(`values.${name} is not ${kind}`);
  requireLength(`values.${name}`, values, length);
  if (nulls === undefined) return { values };
  if (!(nulls instanceof Uint8Array)) throw misfit(`nulls.${name} is not a Uint8Array`);
  requireLength(`nulls.${name}`, nulls, length);
  return { values, nulls };
}

const TEXTS = [Array, "an array of texts"] as const;
const KINDS = {
  float8: [Float64Array, "a Float64Array"],
  int8: [BigInt64Array, "a BigInt64Array"],
  numeric: TEXTS,
  text: TEXTS,
  json: TEXTS,
} as const;

function requireLength(name: string, { length }: { readonly length: number }, expected: number): void {
  if (length !== expected) throw misfit(`${name} has ${length} entries and times has ${expected}`);
}

function requireKnown(columns: readonly ValueColumn[], given: object, where: string): void {
  const known = columns.map(({ name }) => name);
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined) throw misfit(`${where} has "${unknown}", which is none of ${known.join(", ")}`);
}

function misfit(what: string): StoreError {
  return new StoreError("usage", `The columns cannot be rows: ${what}.`);
}
