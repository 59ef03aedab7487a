/**
 * A made-up market: one-minute bars whose prices walk in ticks of a cent. The same options give the same bars on every
 * machine, so a benchmark can be repeated and a demo that runs twice changes nothing the second time.
 */
import type { BarInput } from "../datasets/bars.ts";

export interface MarketOptions {
  readonly symbols: number;
  /** Bars of each symbol. */
  readonly minutes: number;
  /** Another seed gives other prices. */
  readonly seed: number;
  /** Day of the first session (UTC); 5 January 2026 unless given. */
  readonly firstDay?: Date;
  /** `series`: all bars of one symbol, then of the next. `time`: as live data comes, all symbols of a minute, then the next. */
  readonly order?: "series" | "time";
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** New York's session in winter: 14:30 to 21:00 UTC. */
const SESSION_START_MINUTE = 14 * 60 + 30;
const SESSION_MINUTES = 390;
/** Now and then a vendor has no trade data for a bar. */
const BARS_WITHOUT_VWAP = 0.02;

/** The bars in the order asked for; vendor `generated`, symbols `SIM001`, `SIM002`, … */
export function* generateMarket(options: MarketOptions): Generator<BarInput> {
  const { symbols, minutes, seed, firstDay = new Date("2026-01-05"), order = "series" } = options;
  const times = sessionTimes(firstDay, minutes);
  const walks = Array.from({ length: symbols }, (_, at) => createWalk(at, seed));
  if (order === "series") for (const next of walks) for (const time of times) yield next(time);
  else for (const time of times) for (const next of walks) yield next(time);
}

/** `SIM001` and so on, from 0. */
export function symbolName(symbolAt: number): string {
  return `SIM${String(symbolAt + 1).padStart(3, "0")}`;
}

/** The place of such a name, from 1. */
export function symbolNumber(symbol: string): number {
  return Number(symbol.slice(3));
}

/** The minutes of trading sessions, Monday to Friday, in milliseconds since the epoch. */
function sessionTimes(firstDay: Date, minutes: number): number[] {
  const times: number[] = [];
  for (let day = firstDay.getTime(); times.length < minutes; day += DAY_MS) {
    const weekday = new Date(day).getUTCDay();
    if (weekday === 0 || weekday === 6) continue;
    for (let minute = 0; minute < SESSION_MINUTES && times.length < minutes; minute++) {
      times.push(day + (SESSION_START_MINUTE + minute) * MINUTE_MS);
    }
  }
  return times;
}

/** One symbol's random walk; each call gives its next bar. Prices are kept in ticks: a walk of floats would drift. */
function createWalk(symbolAt: number, seed: number): (timeMs: number) => BarInput {
  const random = createRandom(seed * 100_003 + symbolAt);
  const upTo = (limit: number): number => Math.floor(random() * limit);
  const symbol = symbolName(symbolAt);
  let close = 1_000 + upTo(40_000);
  return (timeMs) => {
    const step = 1 + Math.floor(close / 2_000);
    const open = Math.max(100, close + upTo(2 * step + 1) - step);
    close = Math.max(100, open + upTo(6 * step + 1) - 3 * step);
    const high = Math.max(open, close) + upTo(2 * step);
    const low = Math.max(1, Math.min(open, close) - upTo(2 * step));
    const tradeCount = 1 + upTo(400);
    return {
      vendor: "generated",
      symbol,
      timeframe: "1m",
      ts: new Date(timeMs),
      open_price: open / 100,
      high_price: high / 100,
      low_price: low / 100,
      close_price: close / 100,
      volume: tradeCount * (10 + upTo(200)),
      trade_count: tradeCount,
      vwap: random() < BARS_WITHOUT_VWAP ? null : (open + high + low + close) / 400,
    };
  };
}

/** Mulberry32: small, fast, good enough for prices; numbers in [0, 1). */
export function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
