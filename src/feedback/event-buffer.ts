/** A bounded queue that never refuses: when it is full the oldest element goes, and whoever made it is told. */

/** Taken elements are cut off once they are so many, so that taking costs the same however long the queue is. */
const CUT_AT = 1_024;

export class EventBuffer<T> {
  readonly #capacity: number;
  readonly #onDropped: (element: T) => void;
  #elements: T[] = [];
  #head = 0;
  #dropped = 0;

  constructor(capacity: number, onDropped: (element: T) => void) {
    this.#capacity = capacity;
    this.#onDropped = onDropped;
  }

  get size(): number {
    return this.#elements.length - this.#head;
  }

  /** How many were dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  add(element: T): void {
    this.#elements.push(element);
    if (this.size > this.#capacity) this.#dropOldest();
  }

  /** Takes up to `count` of the oldest. */
  take(count: number): T[] {
    const taken = this.#elements.slice(this.#head, this.#head + count);
    this.#head += taken.length;
    if (this.#head >= CUT_AT) {
      this.#elements = this.#elements.slice(this.#head);
      this.#head = 0;
    }
    return taken;
  }

  /** Puts back what was taken last, in front of what has come since. */
  putBack(elements: readonly T[]): void {
    this.#elements = [...elements, ...this.#elements.slice(this.#head)];
    this.#head = 0;
    while (this.size > this.#capacity) this.#dropOldest();
  }

  /** Drops all that is left. */
  dropAll(): void {
    while (this.size > 0) this.#dropOldest();
  }

  #dropOldest(): void {
    const [oldest] = this.take(1);
    this.#dropped++;
    this.#onDropped(oldest as T);
  }
}
