/** Loads of one-minute bars in the shapes and orders that make a difference to a database. */
import type { BarInput } from "../datasets/bars.ts";
import { BarColumns } from "./bar-columns.ts";
import { generateMarket, symbolNumber } from "./generate-market.ts";
import { SEED, SYMBOLS } from "./scenario.ts";

/** How many series there are, and in which order their bars come. */
export const SHAPES = {
  "by series": { symbols: SYMBOLS, order: "series" },
  "by time": { symbols: SYMBOLS, order: "time" },
  shuffled: { symbols: SYMBOLS, order: "shuffled" },
  "one series": { symbols: 1, order: "time" },
  "10,000 series": { symbols: 10_000, order: "time" },
} as const;

export type Shape = keyof typeof SHAPES;

/** So that the rows fall into two partitions. */
const FIRST_DAY = new Date("2026-01-28");
const DAY_MS = 86_400_000;
const SESSION_MINUTES = 390;

/** From when on a series has to have bars so that so many of them end before that day: not in a future that is refused. */
export function firstDayBefore(minutes: number): Date {
  return new Date(FIRST_DAY.getTime() - Math.ceil(((minutes / SESSION_MINUTES) * 7) / 5 + 7) * DAY_MS);
}

/** About so many bars, as many for each series. */
export function makeBars(rows: number, shape: Shape = "by time"): BarColumns {
  const { symbols, order } = SHAPES[shape];
  const minutes = Math.ceil(rows / symbols);
  const firstDay = symbols === 1 ? firstDayBefore(minutes) : FIRST_DAY;
  const market = { symbols, minutes, seed: SEED, firstDay, order: order === "series" ? order : "time" } as const;
  const bars = new BarColumns(generateMarket(market), minutes * symbols);
  return order === "shuffled" ? bars.shuffled(SEED) : bars;
}

/** Two halves of a load, each with its own series, or with its own time where there is one series. */
export function halvesOf(bars: BarColumns, shape: Shape): readonly [BarColumns, BarColumns] {
  const { symbols } = SHAPES[shape];
  const middle = Math.ceil(bars.length / 2);
  if (symbols === 1) {
    return [new BarColumns(bars.between(0, middle), middle), new BarColumns(bars.between(middle, bars.length), middle)];
  }
  const half = (isFirst: boolean) => bars.filter(({ symbol }) => symbolNumber(symbol) <= symbols / 2 === isFirst);
  return [half(true), half(false)];
}

/** Bars without trade count and vwap, which many sources do not have. */
export function* pricesOf(bars: Iterable<BarInput>): Generator<BarInput> {
  for (const bar of bars) yield { ...bar, trade_count: null, vwap: null };
}
