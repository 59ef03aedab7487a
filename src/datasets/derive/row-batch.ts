/**
 * A bounded batch of validated rows, column by column. A row that cannot be stored is refused with its reason and costs
 * nothing else. Rows of one key are folded left to right: what a later row brings wins, what it leaves out stays.
 */
import { columnsOf, type DatasetShape, type Rejection, type ValueColumn } from "../dataset.ts";
import { parseFloat8, parseInt8 } from "../values/number.ts";
import { showValue } from "../values/show-value.ts";
import { parseText } from "../values/text.ts";
import { parseTime } from "../values/time.ts";
import type { TimeZone } from "../values/time-zone.ts";
import { parseTimeframe } from "../values/timeframe.ts";
import { RuleChecker } from "./rule-checker.ts";

/** A column's values; `nulls[i]` is 1 where row i holds an explicit null. */
export interface ValueBuffer {
  readonly column: ValueColumn;
  readonly values: Float64Array | BigInt64Array;
  readonly nulls: Uint8Array;
}

/** Where a row's field goes: a dimension, the time, or a value, by its place. */
type Slot = { readonly kind: "dimension" | "time" | "value"; readonly at: number };

/** Places of series by their dimensions, one level each: quicker to walk than a key is to join where every row changes series. */
type SeriesTree = Map<string, SeriesTree | number>;

export class RowBatch {
  readonly dataset: DatasetShape;
  readonly capacity: number;
  /** Distinct series of the batch: their dimensions, in the dataset's order. */
  readonly series: (readonly string[])[] = [];
  /** For each row the place of its series in `series`. */
  readonly seriesAt: Int32Array;
  /** For each row its time, microseconds since the epoch. */
  readonly times: Float64Array;
  /** For each row one bit for each value column that it brings. */
  readonly present: Int32Array;
  readonly columns: readonly ValueBuffer[];
  #size = 0;
  readonly #zone: TimeZone | undefined;
  readonly #slots: ReadonlyMap<string, Slot>;
  readonly #seriesTree: SeriesTree = new Map();
  readonly #dimensions: string[];
  /** The text from which each of `#dimensions` was read: neighbouring rows mostly bring the same. */
  readonly #raw: unknown[];
  readonly #rules: RuleChecker;
  #lastSeries = -1;

  /** @param zone - Zone of times that name none; without it they are refused. */
  constructor(dataset: DatasetShape, capacity: number, zone?: TimeZone) {
    this.dataset = dataset;
    this.capacity = capacity;
    this.#zone = zone;
    this.seriesAt = new Int32Array(capacity);
    this.times = new Float64Array(capacity);
    this.present = new Int32Array(capacity);
    this.columns = dataset.values.map((column) => ({
      column,
      values: column.type === "int8" ? new BigInt64Array(capacity) : new Float64Array(capacity),
      nulls: new Uint8Array(capacity),
    }));
    this.#rules = new RuleChecker(dataset);
    this.#slots = slotsOf(dataset);
    this.#dimensions = new Array(dataset.dimensions.length).fill("");
    this.#raw = new Array(dataset.dimensions.length).fill(undefined);
  }

  get size(): number {
    return this.#size;
  }

  get full(): boolean {
    return this.#size === this.capacity;
  }

  /** Forgets the rows; the buffers are used again. */
  clear(): void {
    this.#size = 0;
    this.series.length = 0;
    this.#seriesTree.clear();
    this.#lastSeries = -1;
  }

  /** Takes a row, or says why it cannot be stored. The batch must not be full. */
  add(row: unknown): Rejection | undefined {
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
      return { code: "field_invalid", message: "The row is not an object with named fields." };
    }
    const at = this.#size;
    let present = 0;
    let dimensions = 0;
    let timed = false;
    for (const name in row) {
      const value = (row as Record<string, unknown>)[name];
      if (value === undefined) continue;
      const slot = this.#slots.get(name);
      if (slot === undefined) return unknownField(this.dataset, name);
      if (slot.kind === "value") {
        const rejection = this.#setValue(slot.at, at, value);
        if (rejection !== undefined) return rejection;
        present |= 1 << slot.at;
      } else if (slot.kind === "time") {
        const time = parseTime(name, value, this.#zone);
        if (typeof time !== "number") return time;
        this.times[at] = time;
        timed = true;
      } else {
        const rejection = this.#setDimension(slot.at, value);
        if (rejection !== undefined) return rejection;
        dimensions++;
      }
    }
    if (dimensions < this.#dimensions.length || !timed) return missingKey(this.dataset, row);
    const rejection = this.#rules.broken(this.columns, at, present);
    if (rejection !== undefined) return rejection;
    this.present[at] = present;
    this.seriesAt[at] = this.#seriesPlace();
    this.#size = at + 1;
    return undefined;
  }

  #setDimension(at: number, value: unknown): Rejection | undefined {
    if (value === this.#raw[at]) return undefined;
    const { name, type } = this.dataset.dimensions[at]!;
    if (value === null) return { code: "field_missing", message: `${name} is null, but it is part of the key.` };
    const parsed = type === "timeframe" ? parseTimeframe(name, value) : parseText(name, value);
    if (typeof parsed !== "string") return parsed;
    this.#raw[at] = value;
    this.#dimensions[at] = parsed;
    this.#lastSeries = -1;
    return undefined;
  }

  #setValue(slot: number, at: number, value: unknown): Rejection | undefined {
    const { column, values, nulls } = this.columns[slot]!;
    nulls[at] = 0;
    if (value === null) {
      if (column.required) return { code: "field_missing", message: `${column.name} is null, but it is required.` };
      nulls[at] = 1;
      return undefined;
    }
    const parsed = column.type === "int8" ? parseInt8(column.name, value) : parseFloat8(column.name, value);
    if (typeof parsed === "object") return parsed;
    if (column.min !== undefined && parsed < column.min) {
      return { code: "number_out_of_range", message: `${column.name} is ${parsed}, which is below ${column.min}.` };
    }
    values[at] = parsed;
    return undefined;
  }

  #seriesPlace(): number {
    if (this.#lastSeries >= 0) return this.#lastSeries;
    const last = this.#dimensions.length - 1;
    let level = this.#seriesTree;
    for (let at = 0; at < last; at++) level = branch(level, this.#dimensions[at]!);
    let place = level.get(this.#dimensions[last]!) as number | undefined;
    if (place === undefined) {
      place = this.series.length;
      this.series.push([...this.#dimensions]);
      level.set(this.#dimensions[last]!, place);
    }
    this.#lastSeries = place;
    return place;
  }
}

function branch(level: SeriesTree, name: string): SeriesTree {
  let next = level.get(name);
  if (typeof next !== "object") {
    next = new Map();
    level.set(name, next);
  }
  return next;
}

function slotsOf(dataset: DatasetShape): Map<string, Slot> {
  const slots = new Map<string, Slot>([[dataset.time.name, { kind: "time", at: 0 }]]);
  for (const [at, { name }] of dataset.dimensions.entries()) slots.set(name, { kind: "dimension", at });
  for (const [at, { name }] of dataset.values.entries()) slots.set(name, { kind: "value", at });
  return slots;
}

function unknownField(dataset: DatasetShape, name: string): Rejection {
  const known = columnsOf(dataset).map((column) => column.name);
  return {
    code: "field_unknown",
    message: `${showValue(name)} is not a field of ${dataset.name}; these are: ${known.join(", ")}.`,
  };
}

function missingKey(dataset: DatasetShape, row: object): Rejection {
  const keys = [...dataset.dimensions, dataset.time].map((column) => column.name);
  const missing = keys.filter((name) => (row as Record<string, unknown>)[name] === undefined);
  return { code: "field_missing", message: `${missing.join(", ")} is missing; it is part of the key.` };
}
