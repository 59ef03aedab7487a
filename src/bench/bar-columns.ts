/**
 * Bars kept as columns and made into row objects as they are taken, as by a program that reads them from somewhere: a
 * million objects held in memory would make the garbage collector a part of every figure.
 */
import type { BarInput } from "../datasets/bars.ts";

export class BarColumns implements Iterable<BarInput> {
  readonly #symbols: string[] = [];
  readonly #times: Float64Array;
  /** Open, high, low, close, volume, trade count and vwap; NaN where there is none. */
  readonly #values: readonly Float64Array[];

  /** @param bars - One-minute bars as the generator makes them, `capacity` at most. */
  constructor(bars: Iterable<BarInput>, capacity: number) {
    this.#times = new Float64Array(capacity);
    this.#values = Array.from({ length: 7 }, () => new Float64Array(capacity));
    for (const bar of bars) {
      const at = this.#symbols.push(bar.symbol) - 1;
      this.#times[at] = (bar.ts as Date).getTime();
      const { open_price, high_price, low_price, close_price, volume, trade_count, vwap } = bar;
      for (const [slot, value] of [
        open_price,
        high_price,
        low_price,
        close_price,
        volume,
        trade_count,
        vwap,
      ].entries()) {
        this.#values[slot]![at] = value === null ? Number.NaN : Number(value);
      }
    }
  }

  get length(): number {
    return this.#symbols.length;
  }

  *[Symbol.iterator](): Generator<BarInput> {
    const value = (slot: number, at: number): number => this.#values[slot]![at]!;
    for (let at = 0; at < this.length; at++) {
      const vwap = value(6, at);
      yield {
        vendor: "generated",
        symbol: this.#symbols[at]!,
        timeframe: "1m",
        ts: new Date(this.#times[at]!),
        open_price: value(0, at),
        high_price: value(1, at),
        low_price: value(2, at),
        close_price: value(3, at),
        volume: value(4, at),
        trade_count: value(5, at),
        vwap: Number.isNaN(vwap) ? null : vwap,
      };
    }
  }
}
