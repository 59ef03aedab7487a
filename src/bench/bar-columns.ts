/**
 * Bars kept as columns and made into row objects as they are taken, as by a program that reads them from somewhere: a
 * million objects held in memory would make the garbage collector a part of every figure.
 */
import type { ColumnBatch } from "../client/upsert-columns.ts";
import type { BarInput, bars } from "../datasets/bars.ts";
import { createRandom } from "./generate-market.ts";

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
    yield* this.between(0, this.length);
  }

  /** Some of the bars, by their places; all to the end where there are fewer. */
  *between(from: number, to: number): Generator<BarInput> {
    for (let at = from; at < Math.min(to, this.length); at++) yield this.#bar(at);
  }

  /** Those of which `isIn` says so. */
  filter(isIn: (bar: BarInput) => boolean): BarColumns {
    const taken = function* (bars: BarColumns): Generator<BarInput> {
      for (const bar of bars) if (isIn(bar)) yield bar;
    };
    return new BarColumns(taken(this), this.length);
  }

  /** The same bars in an order of their own, the same at every run. */
  shuffled(seed: number): BarColumns {
    const random = createRandom(seed);
    const places = Uint32Array.from({ length: this.length }, (_, at) => at);
    for (let at = places.length - 1; at > 0; at--) {
      const other = Math.floor(random() * (at + 1));
      [places[at], places[other]] = [places[other]!, places[at]!];
    }
    return new BarColumns(this.#taken(places), this.length);
  }

  /** The same bars as `upsertColumns` takes them. */
  toBatch(): ColumnBatch<typeof bars> {
    const places = new Map<string, number>();
    const seriesAt = Int32Array.from(this.#symbols, (symbol) => {
      if (!places.has(symbol)) places.set(symbol, places.size);
      return places.get(symbol)!;
    });
    const value = (slot: number): Float64Array => this.#values[slot]!.subarray(0, this.length);
    return {
      series: [...places.keys()].map((symbol) => ({ vendor: "generated", symbol, timeframe: "1m" })),
      seriesAt,
      times: BigInt64Array.from(this.#times.subarray(0, this.length), (ms) => BigInt(ms) * 1_000n),
      values: {
        open_price: value(0),
        high_price: value(1),
        low_price: value(2),
        close_price: value(3),
        volume: value(4),
        trade_count: BigInt64Array.from(value(5), BigInt),
        vwap: value(6),
      },
      nulls: { vwap: Uint8Array.from(value(6), (vwap) => (Number.isNaN(vwap) ? 1 : 0)) },
    };
  }

  *#taken(places: Uint32Array): Generator<BarInput> {
    for (const at of places) yield this.#bar(at);
  }

  #bar(at: number): BarInput {
    const value = (slot: number): number => this.#values[slot]![at]!;
    const vwap = value(6);
    return {
      vendor: "generated",
      symbol: this.#symbols[at]!,
      timeframe: "1m",
      ts: new Date(this.#times[at]!),
      open_price: value(0),
      high_price: value(1),
      low_price: value(2),
      close_price: value(3),
      volume: value(4),
      trade_count: value(5),
      vwap: Number.isNaN(vwap) ? null : vwap,
    };
  }
}
