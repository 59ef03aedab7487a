/**
 * A ring buffer of accepted rows that grows as it is needed. Its facts lie in arrays side by side, so that a waiting row
 * costs no object of its own. It does not bound itself: the coordinator bounds the rows of all its queues together.
 */
import type { DatasetName } from "../datasets/registry.ts";
import type { DeadLetter } from "./dead-letters/dead-letter.ts";

/** Whose rows, and of which dataset. */
export interface Stream {
  /** UUID. */
  readonly tenantId: string;
  readonly dataset: DatasetName;
}

/** Rows of one stream, in their order, on their way to a sink. */
export interface RowGroup {
  readonly stream: Stream;
  readonly rows: unknown[];
  /** Grows by one a row over all queues of a coordinator; with a spool the record's sequence number. */
  readonly ordinals: number[];
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number[];
  /** How many of them, from the first, are stored or in the dead letters. */
  done: number;
  /** The rows from there to `to` are stored but for those in these letters, which are not durable yet. */
  undelivered: { readonly to: number; readonly letters: readonly DeadLetter[] } | undefined;
}

const FIRST_SLOTS = 256;

export class RowQueue {
  #streams: (Stream | undefined)[] = new Array(FIRST_SLOTS).fill(undefined);
  #rows: unknown[] = new Array(FIRST_SLOTS).fill(undefined);
  #ordinals = new Float64Array(FIRST_SLOTS);
  #acceptedAt = new Float64Array(FIRST_SLOTS);
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Ordinal of the oldest row; infinite when there is none. */
  get oldest(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : this.#ordinals[this.#head]!;
  }

  push(stream: Stream, row: unknown, ordinal: number, acceptedAt: number): void {
    if (this.#size === this.#rows.length) this.#grow();
    const at = (this.#head + this.#size) & (this.#rows.length - 1);
    this.#streams[at] = stream;
    this.#rows[at] = row;
    this.#ordinals[at] = ordinal;
    this.#acceptedAt[at] = acceptedAt;
    this.#size++;
  }

  /** Forgets the oldest row. There must be one. */
  dropOldest(): void {
    this.#streams[this.#head] = undefined;
    this.#rows[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#rows.length - 1);
    this.#size--;
  }

  /** The oldest rows, `max` at most, by stream. */
  take(max: number): RowGroup[] {
    const groups: RowGroup[] = [];
    let group: RowGroup | undefined;
    for (let left = Math.min(max, this.#size); left > 0; left--) {
      const at = this.#head;
      const stream = this.#streams[at]!;
      if (group === undefined || !isSame(group.stream, stream)) group = groupOf(groups, stream);
      group.rows.push(this.#rows[at]);
      group.ordinals.push(this.#ordinals[at]!);
      group.acceptedAt.push(this.#acceptedAt[at]!);
      this.dropOldest();
    }
    return groups;
  }

  #grow(): void {
    const slots = this.#rows.length;
    const order = Array.from({ length: slots }, (_, at) => (this.#head + at) & (slots - 1));
    const none: undefined[] = new Array(slots).fill(undefined);
    this.#streams = [...order.map((at) => this.#streams[at]), ...none];
    this.#rows = [...order.map((at) => this.#rows[at]), ...none];
    this.#ordinals = doubled(this.#ordinals, order);
    this.#acceptedAt = doubled(this.#acceptedAt, order);
    this.#head = 0;
  }
}

function groupOf(groups: RowGroup[], stream: Stream): RowGroup {
  const known = groups.find((group) => isSame(group.stream, stream));
  if (known !== undefined) return known;
  const group: RowGroup = { stream, rows: [], ordinals: [], acceptedAt: [], done: 0, undelivered: undefined };
  groups.push(group);
  return group;
}

/** Whether rows of the two may go into one batch. */
export function isSame(a: Stream, b: Stream): boolean {
  return a === b || (a.tenantId === b.tenantId && a.dataset === b.dataset);
}

function doubled(values: Float64Array, order: readonly number[]): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(values.length * 2);
  for (const [to, from] of order.entries()) larger[to] = values[from]!;
  return larger;
}
