/**
 * The timeframes of bars and their lengths. Unambiguous other spellings (`1Min`, `1Hour`, `1D`) are normalised;
 * ambiguous ones (`60`, `1M`) are rejected: which of minute and month is meant is not ours to guess.
 */
import type { Rejection } from "../dataset.ts";
import { showValue } from "./show-value.ts";

/** Every timeframe, shortest first; case-sensitive. */
export const TIMEFRAMES = ["1s", "5s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "1w", "1mo"] as const;

/** The length of a bar's interval. */
export type Timeframe = (typeof TIMEFRAMES)[number];

/** A length as calendar months plus seconds: only a month's length depends on when it starts. */
export interface TimeframeLength {
  readonly months: number;
  readonly seconds: number;
}

const seconds = (count: number): TimeframeLength => ({ months: 0, seconds: count });

/** How long each timeframe's interval is. */
export const TIMEFRAME_LENGTHS: Readonly<Record<Timeframe, TimeframeLength>> = {
  "1s": seconds(1),
  "5s": seconds(5),
  "1m": seconds(60),
  "3m": seconds(180),
  "5m": seconds(300),
  "15m": seconds(900),
  "30m": seconds(1_800),
  "1h": seconds(3_600),
  "2h": seconds(7_200),
  "4h": seconds(14_400),
  "1d": seconds(86_400),
  "1w": seconds(604_800),
  "1mo": { months: 1, seconds: 0 },
};

const KNOWN: ReadonlyMap<string, Timeframe> = new Map(TIMEFRAMES.map((timeframe) => [timeframe, timeframe]));

/** Other spellings of the units, lower case. A lone `M` is not among them: minute and month both use it. */
const UNITS: ReadonlyMap<string, string> = new Map([
  ...["s", "sec", "secs", "second", "seconds"].map((unit) => [unit, "s"] as const),
  ...["m", "min", "mins", "minute", "minutes"].map((unit) => [unit, "m"] as const),
  ...["h", "hr", "hour", "hours"].map((unit) => [unit, "h"] as const),
  ...["d", "day", "days"].map((unit) => [unit, "d"] as const),
  ...["w", "wk", "week", "weeks"].map((unit) => [unit, "w"] as const),
  ...["mo", "mon", "month", "months"].map((unit) => [unit, "mo"] as const),
]);

const SPELLING = /^([1-9]\d?)([A-Za-z]{1,7})$/;

/**
 * Reads a timeframe.
 *
 * @param column - Name of the column, for the message.
 * @returns The timeframe in its one spelling, or a rejection `timeframe_invalid` that lists all of them.
 */
export function parseTimeframe(column: string, value: unknown): Timeframe | Rejection {
  if (typeof value !== "string") return rejected(column, value);
  return KNOWN.get(value) ?? parseOtherSpelling(value) ?? rejected(column, value);
}

function parseOtherSpelling(text: string): Timeframe | undefined {
  const parts = SPELLING.exec(text.trim());
  if (parts === null || parts[2] === "M") return undefined;
  const unit = UNITS.get(parts[2]!.toLowerCase());
  return unit === undefined ? undefined : KNOWN.get(`${parts[1]}${unit}`);
}

/**
 * When an interval ends, which is where the next one starts.
 *
 * @param startUs - Start of the interval, microseconds since the epoch.
 * @returns Its end, microseconds since the epoch. A month ends on the same day of the next month, or on that month's
 *   last day where it is shorter, as PostgreSQL has it.
 */
export function intervalEndUs(timeframe: Timeframe, startUs: number): number {
  const length = TIMEFRAME_LENGTHS[timeframe];
  if (length.months === 0) return startUs + length.seconds * 1_000_000;
  const startMs = Math.floor(startUs / 1_000);
  const end = new Date(startMs);
  const day = end.getUTCDate();
  end.setUTCMonth(end.getUTCMonth() + length.months);
  // Day 0 is the last one of the month before: of the short month that was skipped.
  if (end.getUTCDate() !== day) end.setUTCDate(0);
  return end.getTime() * 1_000 + (startUs - startMs * 1_000);
}

function rejected(column: string, value: unknown): Rejection {
  const hint = value === "1M" || value === "M" ? " (1m is a minute, 1mo a month)" : "";
  return {
    code: "timeframe_invalid",
    message: `${column} is ${showValue(value)}, which is none of ${TIMEFRAMES.join(" ")}${hint}.`,
  };
}
