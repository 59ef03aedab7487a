/**
 * Brings a batch into the form in which it is written: sorted by key, each key once, one group for each set of columns
 * that the rows bring. Two sessions that write in key order cannot deadlock, and a statement may meet a key only once.
 */
import type { Rejection } from "../dataset.ts";
import type { RowBatch } from "./row-batch.ts";
import { RuleChecker } from "./rule-checker.ts";

interface FoldedBatch {
  /** Rows by the columns that they bring, each group sorted by series id and time. */
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
  const { seriesAt, times, size } = batch;
  const compare = (a: number, b: number): number => ids[seriesAt[a]!]! - ids[seriesAt[b]!]! || times[a]! - times[b]!;
  let at = 1;
  while (at < size && compare(at - 1, at) < 0) at++;
  if (at >= size) return undefined;
  return Int32Array.from({ length: size }, (_, row) => row).sort((a, b) => compare(a, b) || a - b);
}

function foldSorted(batch: RowBatch, ids: Int32Array, order: Int32Array): FoldedBatch {
  const { seriesAt, times } = batch;
  const rules = new RuleChecker(batch.dataset);
  const survivors: number[] = [];
  const rejections: { row: number; rejection: Rejection }[] = [];
  for (const row of order) {
    const last = survivors.at(-1);
    const again = last !== undefined && ids[seriesAt[last]!] === ids[seriesAt[row]!] && times[last] === times[row];
    if (!again) {
      survivors.push(row);
      continue;
    }
    takeAbsentFrom(batch, row, last);
    const rejection = rules.broken(batch.columns, row, batch.present[row]!);
    if (rejection === undefined) survivors[survivors.length - 1] = row;
    else rejections.push({ row, rejection });
  }
  const superseded = order.length - survivors.length - rejections.length;
  return { groups: groupByPresence(batch, Int32Array.from(survivors)), superseded, rejections };
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
