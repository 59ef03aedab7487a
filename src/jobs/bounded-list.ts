/** A list that ends up as JSON in a result or checkpoint of bounded size: what no longer fits is counted. */

export class BoundedList<Item> {
  readonly #maxBytes: number;
  readonly #items: Item[] = [];
  #bytes = 0;
  #leftOut = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get items(): readonly Item[] {
    return this.#items;
  }

  /** How many items did not fit. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** Keeps the first of these forms of an item that fits, the longest first; whether one did. */
  add(...forms: readonly Item[]): boolean {
    for (const item of forms) {
      const bytes = Buffer.byteLength(JSON.stringify(item)) + 1;
      if (this.#bytes + bytes > this.#maxBytes) continue;
      this.#bytes += bytes;
      this.#items.push(item);
      return true;
    }
    this.#leftOut++;
    return false;
  }

  /** The list as a checkpoint keeps it. */
  toJSON(): { items: readonly Item[]; left_out: number } {
    return { items: this.#items, left_out: this.#leftOut };
  }

  /** Takes up a list that a checkpoint kept. */
  restore(saved: { readonly items: readonly Item[]; readonly left_out: number }): void {
    for (const item of saved.items) this.add(item);
    this.#leftOut += saved.left_out;
  }
}
