/**
 * Brings a batch into the form in which it is written: groups of rows, each sorted by key with each key once, that bring
 * the same columns. Sessions that write in key order cannot deadlock, and a statement may meet a key only once.
 */
import type { Rejection } from "../dataset.ts";
import type { RowBatch } from "./row-batch.ts";
import { RuleChecker } from "./rule-checker.ts";

interface FoldedBatch {
  /** To be written one after the other; each sorted by key. */
  readonly groups: readonly RowGroup[];
  /** How many rows a later row of the same key replaced. */
  readonly superseded: number;
  /** Rows that a rule refuses once earlier rows of their key are taken into account. */
  readonly rejections: readonly { readonly row: number; readonly rejection: Rejection }[];
}

export interface RowGroup {
  /** One bit for each value column that these rows bring. */
  readonly present: number;
  /** Places in the batch. */
  readonly rows: Int32Array;
}

/** @param ids - The series id of each of the batch's series. */
export function foldBatch(batch: RowBatch, ids: Int32Array): FoldedBatch {
  const order = sortedOrder(batch, ids);
  if (order === undefined) {
    const rows = Int32Array.from({ length: batch.size }, (_, row) => row);
    return { groups: groupByPresence(batch, rows), superseded: 0, rejections: [] };
  }
  return foldSorted(batch, ids, order);
}

/** Undefined when the rows already stand in strict key order, which is the common case. */
function sortedOrder(batch: RowBatch, ids: Int32Array): Int32Array | undefined {
  const { size } = batch;
  const compare = keyOrder(batch, ids);
  let at = 1;
  while (at < size && compare(at - 1, at) < 0) at++;
  if (at >= size) return undefined;
  const { order, ends } = orderedBySeries(batch, ids);
  let from = 0;
  for (const end of ends) {
    sortRun(order.subarray(from, end), compare);
    from = end;
  }
  return order;
}

/** Rows grouped by series, in the order of the ids and else as they came, and where each series ends. */
function orderedBySeries({ size, seriesAt, series }: RowBatch, ids: Int32Array) {
  const starts = new Int32Array(series.length);
  for (let row = 0; row < size; row++) starts[seriesAt[row]!]!++;
  const ends: number[] = [];
  let end = 0;
  for (const place of Int32Array.from(series.keys()).sort((a, b) => ids[a]! - ids[b]!)) {
    const rows = starts[place]!;
    starts[place] = end;
    end += rows;
    ends.push(end);
  }
  const order = new Int32Array(size);
  for (let row = 0; row < size; row++) order[starts[seriesAt[row]!]!++] = row;
  return { order, ends };
}

/** Live data comes in the order of time, and needs no sorting within a series. */
function sortRun(run: Int32Array, compare: (a: number, b: number) => number): void {
  let at = 1;
  while (at < run.length && compare(run[at - 1]!, run[at]!) <= 0) at++;
  if (at < run.length) run.sort((a, b) => compare(a, b) || a - b);
}

/**
 * Folds a row onto an earlier whole one of its key, which can be judged here. What follows a partial row waits for a
 * round of its own: only the database knows whether the partial row stands. So the outcome is that of one row at a time.
 */
function foldSorted(batch: RowBatch, ids: Int32Array, order: Int32Array): FoldedBatch {
  const groups: RowGroup[] = [];
  const rejections: { row: number; rejection: Rejection }[] = [];
  let superseded = 0;
  let round: ArrayLike<number> = order;
  while (round.length > 0) {
    const folded = foldRound(batch, ids, round);
    groups.push(...groupByPresence(batch, Int32Array.from(folded.survivors)));
    rejections.push(...folded.rejections);
    superseded += round.length - folded.survivors.length - folded.rejections.length - folded.waiting.length;
    round = folded.waiting;
  }
  return { groups, superseded, rejections };
}

/** The order of the primary key. */
function keyOrder({ seriesAt, times, contentKeys }: RowBatch, ids: Int32Array): (a: number, b: number) => number {
  const byTime = (a: number, b: number): number => ids[seriesAt[a]!]! - ids[seriesAt[b]!]! || times[a]! - times[b]!;
  if (contentKeys.length === 0) return byTime;
  return (a, b) => byTime(a, b) || compareText(contentKeys[a]!, contentKeys[b]!);
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function foldRound(batch: RowBatch, ids: Int32Array, order: ArrayLike<number>) {
  const { present, columns } = batch;
  const compare = keyOrder(batch, ids);
  const rules = new RuleChecker(batch.dataset);
  const required = batch.dataset.values.reduce((bits, value, slot) => (value.required ? bits | (1 << slot) : bits), 0);
  const survivors: number[] = [];
  const waiting: number[] = [];
  const rejections: { row: number; rejection: Rejection }[] = [];
  const sameKey = (a: number | undefined, b: number): boolean => a !== undefined && compare(a, b) === 0;
  for (const row of Array.from(order)) {
    const last = survivors.at(-1);
    if (last === undefined || !sameKey(last, row)) {
      survivors.push(row);
    } else if (sameKey(waiting.at(-1), row) || (present[last]! & required) !== required) {
      waiting.push(row);
    } else {
      takeAbsentFrom(batch, row, last);
      const rejection = rules.broken(columns, row, present[row]!);
      if (rejection === undefined) survivors[survivors.length - 1] = row;
      else rejections.push({ row, rejection });
    }
  }
  return { survivors, waiting, rejections };
}

/** What the later row leaves out stays as the earlier one said. */
function takeAbsentFrom(batch: RowBatch, row: number, earlier: number): void {
  const absent = batch.present[earlier]! & ~batch.present[row]!;
  if (absent === 0) return;
  for (const [slot, { values, nulls }] of batch.columns.entries()) {
    if ((absent & (1 << slot)) === 0) continue;
    values[row] = values[earlier]!;
    nulls[row] = nulls[earlier]!;
  }
  batch.present[row] = batch.present[row]! | absent;
}

function groupByPresence(batch: RowBatch, rows: Int32Array): RowGroup[] {
  const first = rows.length === 0 ? 0 : batch.present[rows[0]!]!;
  if (rows.every((row) => batch.present[row] === first)) return rows.length === 0 ? [] : [{ present: first, rows }];
  const groups = new Map<number, number[]>();
  for (const row of rows) {
    const present = batch.present[row]!;
    const group = groups.get(present);
    if (group === undefined) groups.set(present, [row]);
    else group.push(row);
  }
  return [...groups].map(([present, members]) => ({ present, rows: Int32Array.from(members) }));
}
