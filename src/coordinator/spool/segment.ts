/**
 * What is known in memory about one segment file: where its records are, how many, and which are acknowledged (a bit
 * each). It touches no file.
 */
import type { Run } from "./number-runs.ts";

/** Places of records known by heart: every so many bytes, so that reading can begin near any record. */
const MARK_BYTES = 262_144;
/** Ages are told to the second. */
const MARK_MS = 1_000;
/** Beyond it every other one is forgotten: ages and beginnings get coarser, memory stays. */
const MAX_MARKS = 4_096;

interface Mark {
  readonly index: number;
  /** Where the record begins in the file. */
  readonly offset: number;
  readonly acceptedAt: number;
}

export class Segment {
  readonly path: string;
  /** Sequence number of its first record. */
  readonly first: number;
  #count = 0;
  #bytes: number;
  #acknowledged = new Uint8Array(128);
  #acknowledgedCount = 0;
  /** All records before this one are acknowledged. */
  #lowest = 0;
  #marks: Mark[] = [];

  /** @param bytes - Size of its file so far. */
  constructor(path: string, first: number, bytes: number) {
    this.path = path;
    this.first = first;
    this.#bytes = bytes;
  }

  /** Durable records. */
  get count(): number {
    return this.#count;
  }

  /** Sequence number behind its last record. */
  get end(): number {
    return this.first + this.#count;
  }

  /** Size of its file as far as it holds durable records. */
  get bytes(): number {
    return this.#bytes;
  }

  get unacknowledged(): number {
    return this.#count - this.#acknowledgedCount;
  }

  /** Takes note of durable records behind the last one. */
  grow(records: number, bytes: number): void {
    this.#count += records;
    this.#bytes += bytes;
    const needed = (this.#count + 7) >> 3;
    if (needed <= this.#acknowledged.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#acknowledged.length * 2));
    larger.set(this.#acknowledged);
    this.#acknowledged = larger;
  }

  /** Takes note of where a record lies and when it was accepted; most are forgotten again. Records come in order. */
  mark(index: number, offset: number, acceptedAt: number): void {
    const last = this.#marks.at(-1);
    if (last !== undefined) {
      if (index <= last.index) return;
      const isNear = offset - last.offset < MARK_BYTES && Math.abs(acceptedAt - last.acceptedAt) < MARK_MS;
      if (isNear) return;
    }
    if (this.#marks.length >= MAX_MARKS) this.#marks = this.#marks.filter((_, at) => at % 2 === 0);
    this.#marks.push({ index, offset, acceptedAt });
  }

  /** The nearest known record at or before this place. */
  markBefore(index: number): Mark | undefined {
    let [low, high] = [0, this.#marks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#marks[middle]!.index <= index) low = middle + 1;
      else high = middle;
    }
    return this.#marks[low - 1];
  }

  /** True when the record was not acknowledged before. */
  acknowledge(index: number): boolean {
    const bit = 1 << (index & 7);
    const byte = this.#acknowledged[index >> 3]!;
    if (index >= this.#count || (byte & bit) !== 0) return false;
    this.#acknowledged[index >> 3] = byte | bit;
    this.#acknowledgedCount++;
    return true;
  }

  isAcknowledged(index: number): boolean {
    return (this.#acknowledged[index >> 3]! & (1 << (index & 7))) !== 0;
  }

  /** The acknowledged records as runs of sequence numbers. */
  *acknowledgedRuns(): Generator<Run> {
    let start = -1;
    for (let index = 0; index < this.#count; index++) {
      const bits = (index & 7) === 0 ? this.#acknowledged[index >> 3] : undefined;
      const isWholeByte = bits === (start < 0 ? 0 : 255) && index + 8 <= this.#count;
      if (isWholeByte) index += 7;
      else if (this.isAcknowledged(index) !== start >= 0) {
        if (start >= 0) yield { first: this.first + start, count: index - start };
        start = start < 0 ? index : -1;
      }
    }
    if (start >= 0) yield { first: this.first + start, count: this.#count - start };
  }

  /** Place of the first unacknowledged record; `count` when there is none. */
  get lowest(): number {
    while (this.#lowest < this.#count && this.isAcknowledged(this.#lowest)) this.#lowest++;
    return this.#lowest;
  }

  /** When the first unacknowledged record was accepted, to the second; undefined when that is not known yet. */
  get oldestAcceptedAt(): number | undefined {
    return this.markBefore(this.lowest)?.acceptedAt;
  }
}
