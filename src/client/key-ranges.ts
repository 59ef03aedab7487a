/** Which keys rows may have, series by series: enough to tell that two batches have none in common. */
import type { RowGroup } from "../datasets/derive/fold-batch.ts";
import type { RowBatch } from "../datasets/derive/row-batch.ts";

export class KeyRanges {
  /** Each once, ascending. */
  readonly seriesIds: number[] = [];
  /** Of each series the first time and the last, microseconds since the epoch. */
  readonly #first: number[] = [];
  readonly #last: number[] = [];

  /** @param group - Its rows are in the order of their keys. */
  constructor({ seriesAt, times }: RowBatch, ids: Int32Array, { rows }: RowGroup) {
    let place = -1;
    for (const row of rows) {
      if (seriesAt[row] !== place) {
        place = seriesAt[row]!;
        this.seriesIds.push(ids[place]!);
        this.#first.push(times[row]!);
        this.#last.push(times[row]!);
      } else this.#last[this.#last.length - 1] = times[row]!;
    }
  }

  /** The first time of all and the last. */
  get span(): readonly [first: number, last: number] {
    const first = this.#first.reduce((least, time) => Math.min(least, time));
    return [first, this.#last.reduce((most, time) => Math.max(most, time))];
  }

  /** Whether a row of one may have the key of a row of the other. */
  meets(other: KeyRanges): boolean {
    let at = 0;
    for (const [theirs, id] of other.seriesIds.entries()) {
      while (at < this.seriesIds.length && this.seriesIds[at]! < id) at++;
      if (this.seriesIds[at] !== id) continue;
      if (this.#first[at]! <= other.#last[theirs]! && other.#first[theirs]! <= this.#last[at]!) return true;
    }
    return false;
  }
}
