/**
 * One description of a dataset, from which everything else is derived: row type, validation, tables, upsert SQL,
 * binary codec, file columns and JSON Schema. This file only describes; `derive/` does the deriving.
 */
import type { ErrorCode } from "../errors/codes.ts";

/** Why a value, a row or a line cannot be stored: a stable code and one sentence. */
export interface Rejection {
  readonly code: ErrorCode;
  readonly message: string;
}

interface Column {
  /** Name in views, files and row objects. */
  readonly name: string;
  /** Other names under which files may bring it. */
  readonly aliases?: readonly string[];
  readonly description: string;
}

/** A part of a series' identity. */
export interface DimensionColumn extends Column {
  readonly type: "text" | "timeframe";
}

/** When a row holds; microseconds since the epoch, stored as timestamptz. */
export interface TimeColumn extends Column {}

/** What a row says. */
export interface ValueColumn extends Column {
  readonly type: "float8" | "int8";
  /** A required value is never null, and absent only where the key is already stored. */
  readonly required: boolean;
  /** Lower bound, inclusive. */
  readonly min?: number;
  readonly unit: string;
}

/** A rule over several values of a row, once in SQL (the table's check) and once for rows in memory. */
export interface RowRule {
  readonly name: string;
  readonly code: ErrorCode;
  /** SQL expression over the value columns; must not be null when the required ones are present. */
  readonly sql: string;
  /** The columns that `broken` takes, in its order. The rule is left to the database where one is absent. */
  readonly columns: readonly string[];
  /** One sentence when the rule is broken, else undefined. */
  readonly broken: (...values: number[]) => string | undefined;
}

export interface DatasetShape {
  /** Name of the view and the stem of the tables. */
  readonly name: string;
  readonly description: string;
  readonly dimensions: readonly DimensionColumn[];
  readonly time: TimeColumn;
  readonly values: readonly ValueColumn[];
  readonly rules: readonly RowRule[];
  /** Width of a time partition on plain PostgreSQL. */
  readonly partitionWidth: "month" | "year";
}

/** A dataset's description with its literal column names kept in the type. */
export type Dataset<Shape extends DatasetShape = DatasetShape> = Shape;

/** A point in time: a Date, microseconds since the epoch as bigint, or ISO 8601 text with a zone. */
export type TimeInput = Date | bigint | string;

type Named<Columns extends readonly Column[], Value> = { [C in Columns[number] as C["name"]]: Value };
type Required_<V extends readonly ValueColumn[]> = Extract<V[number], { required: true }>;
type Optional_<V extends readonly ValueColumn[]> = Extract<V[number], { required: false }>;
/** Decimal text is accepted where it equals a storable number exactly. */
type InputOf<C extends ValueColumn> = C extends { type: "int8" } ? number | bigint | string : number | string;
type OutputOf<C extends ValueColumn> = C extends { type: "int8" } ? bigint : number;

/** A row on its way in. An absent field keeps what is stored, an explicit null clears it. */
export type InputRow<S extends DatasetShape> = Named<S["dimensions"], string> & {
  [K in S["time"]["name"]]: TimeInput;
} & { [C in Required_<S["values"]> as C["name"]]?: InputOf<C> } & {
  [C in Optional_<S["values"]> as C["name"]]?: InputOf<C> | null;
};

/** A row as stored. Times are microseconds since the epoch. */
export type StoredRow<S extends DatasetShape> = Named<S["dimensions"], string> & {
  [K in S["time"]["name"]]: bigint;
} & { [C in Required_<S["values"]> as C["name"]]: OutputOf<C> } & {
  [C in Optional_<S["values"]> as C["name"]]: OutputOf<C> | null;
};

/** Names a dataset once. The result is plain, frozen data. */
export function defineDataset<const S extends DatasetShape>(shape: S): Dataset<S> {
  return Object.freeze(shape);
}

/** All columns in the order of views and files: dimensions, time, values. */
export function columnsOf(dataset: DatasetShape): readonly Column[] {
  return [...dataset.dimensions, dataset.time, ...dataset.values];
}
