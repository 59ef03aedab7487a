/** Which columns of a dataset a file gets, and the text of the values that all text formats write alike. */
import { columnsOf, type DatasetShape } from "../datasets/dataset.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { formatTime } from "../datasets/values/time.ts";
import { StoreError } from "../errors/store-error.ts";

/** A column of an output file. */
export interface OutputColumn {
  readonly name: string;
  /** Whether its bigint is a time in microseconds and not a count. */
  readonly isTime: boolean;
  /** Whether its text is JSON already: exact decimals and JSON objects. */
  readonly isJson: boolean;
}

/**
 * A row as stored: times are microseconds since the epoch, JSON is text; a null is written as such, an absent value as
 * none.
 */
export type OutputRow = Readonly<Record<string, string | number | bigint | null | undefined>>;

/**
 * Columns of an output file, by default all of a dataset in its own order.
 *
 * @throws StoreError `usage` for a name that is no column of the dataset.
 */
export function outputColumns(dataset: DatasetShape, names?: readonly string[]): readonly OutputColumn[] {
  const known = columnsOf(dataset).map((column) => column.name);
  const unknown = names?.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new StoreError("usage", `${showValue(unknown)} is no column of ${dataset.name}: ${known.join(", ")}.`);
  }
  const json = new Set([
    ...dataset.dimensions.filter(({ type }) => type === "decimal").map(({ name }) => name),
    ...dataset.values.filter(({ type }) => type === "numeric" || type === "json").map(({ name }) => name),
  ]);
  return (names ?? known).map((name) => ({ name, isTime: name === dataset.time.name, isJson: json.has(name) }));
}

/**
 * The text of a number or time: the shortest form that reads back as the same value.
 *
 * @throws StoreError `number_invalid` for NaN and infinities, which no store of ours holds.
 */
export function numberText(column: OutputColumn, value: number | bigint): string {
  if (typeof value === "bigint") return column.isTime ? formatTime(value) : String(value);
  if (Number.isFinite(value)) return String(value);
  throw new StoreError("number_invalid", `${column.name} is ${value}, which cannot be written to a file.`);
}
