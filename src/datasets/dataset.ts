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
  /** `decimal` is stored as numeric(18,6). */
  readonly type: "text" | "timeframe" | "date" | "option_type" | "decimal";
}

/** When a row holds; microseconds since the epoch, stored as timestamptz. */
interface TimeColumn extends Column {}

/** What a row says. */
export interface ValueColumn extends Column {
  readonly type: "float8" | "int8" | "numeric" | "text" | "json";
  /** A required value is never null, and absent only where the key is already stored. */
  readonly required: boolean;
  /** Bounds of a number, inclusive. */
  readonly min?: number;
  readonly max?: number;
  /** Of a numeric: digits in all and digits after the point. A number that needs more is rejected, never rounded. */
  readonly precision?: number;
  readonly scale?: number;
  /** Of a text: its longest length, in characters. */
  readonly maxCharacters?: number;
  readonly unit: string;
}

/**
 * A part of the key that is a hash of values: the first 16 bytes of SHA-256 over these text columns in this order, each
 * as its length in bytes (int4, big-endian; -1 for null) and its UTF-8 bytes.
 */
interface ContentKey {
  readonly name: string;
  readonly columns: readonly string[];
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

/** Of rows with this value in this dimension the database keeps aggregates, which stand for rows with the other values. */
export interface Aggregated {
  readonly dimension: string;
  readonly from: string;
  /** The finest first. */
  readonly to: readonly string[];
}

export interface DatasetShape {
  /** The stem of tables and functions. */
  readonly name: string;
  /** Name of the view, where it is not that of the dataset. */
  readonly view?: string;
  readonly description: string;
  readonly dimensions: readonly DimensionColumn[];
  readonly time: TimeColumn;
  readonly values: readonly ValueColumn[];
  readonly rules: readonly RowRule[];
  /** Where series and time do not tell rows apart. Its columns always count as present; absent is null. */
  readonly contentKey?: ContentKey;
  /** Rows of which coarser ones are worked out: their changes are marked. */
  readonly aggregated?: Aggregated;
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
type InputOf<C extends ValueColumn> = {
  float8: number | string;
  int8: number | bigint | string;
  numeric: number | bigint | string;
  text: string;
  json: JsonObject | string;
}[C["type"]];
type OutputOf<C extends ValueColumn> = {
  float8: number;
  int8: bigint;
  numeric: string;
  text: string;
  json: JsonObject;
}[C["type"]];

/** A JSON object; as text it keeps every digit of its numbers. */
export type JsonObject = { readonly [name: string]: unknown };

/** A row on its way in. An absent field keeps what is stored, an explicit null clears it. */
export type InputRow<S extends DatasetShape> = {
  [D in S["dimensions"][number] as D["name"]]: D extends { type: "decimal" } ? string | number : string;
} & {
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
