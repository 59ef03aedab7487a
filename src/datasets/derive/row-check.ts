/**
 * Tells rows that can be stored from those that cannot, by the same rules by which they are written later. It keeps no
 * rows and knows no database, so neither which rows replace others nor what partial rows would be added to.
 */
import type { DatasetShape, Rejection } from "../dataset.ts";
import { formatTime } from "../values/time.ts";
import type { TimeZone } from "../values/time-zone.ts";
import { RowBatch } from "./row-batch.ts";

/** Rows that are checked before their values are forgotten together; names of series are remembered for as long. */
const ROWS_PER_ROUND = 1_000;

export class RowCheck {
  readonly #batch: RowBatch;

  /** @param zone - Zone of times that name none; without it they are refused. */
  constructor(dataset: DatasetShape, zone?: TimeZone) {
    this.#batch = new RowBatch(dataset, ROWS_PER_ROUND, zone);
  }

  /** Why the row cannot be stored; undefined for a good one. */
  rejectionOf(row: unknown): Rejection | undefined {
    if (this.#batch.full) this.#batch.clear();
    return this.#batch.add(row);
  }

  /** The time of the row that was found good last: ISO 8601 in UTC, whatever zone it was written in. */
  get lastTime(): string {
    return formatTime(this.#batch.times[this.#batch.size - 1]!);
  }
}
