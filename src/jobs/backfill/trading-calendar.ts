/**
 * When bars are expected: around the clock, or in sessions that repeat every week in a time zone, without holidays. Bars
 * come as runs of equal steps, so that a year of seconds costs no more than a year of days. Local times that a clock
 * change skips or repeats mean what they would mean had the clocks not been changed yet.
 */

import { formatTime } from "../../datasets/values/time.ts";
import { type TimeZone, timeZone } from "../../datasets/values/time-zone.ts";
import { TIMEFRAME_LENGTHS, type Timeframe } from "../../datasets/values/timeframe.ts";
import { StoreError } from "../../errors/store-error.ts";

/** Expected bars at equal distances: `count` of them from `firstUs` on. Microseconds since the epoch. */
export interface BarRun {
  readonly firstUs: number;
  readonly stepUs: number;
  readonly count: number;
}

export interface Session {
  /** 1 (Monday) to 7. */
  readonly days: readonly number[];
  /** HH:MM. */
  readonly open: string;
  /** HH:MM; no later than the open it is on the next day. */
  readonly close: string;
}

/** What is traded when. */
export type TradingCalendar =
  | { readonly kind: "always" }
  | {
      readonly kind: "weekly";
      readonly timezone: string;
      readonly sessions: readonly Session[];
      /** From where bars are counted. */
      readonly align: "utc" | "local" | "session";
      /** Local dates, YYYY-MM-DD, on which no session opens. */
      readonly holidays: ReadonlySet<string>;
    };

const MINUTE_US = 60_000_000;
const DAY_US = 86_400_000_000;
/** The first Monday of the epoch: weeks start with it. */
const FIRST_MONDAY_US = 4 * DAY_US;
/** Four sessions a day for a century; more do not belong into memory. */
const MAX_RUNS = 200_000;
/** No clock was ever put forward by more. */
const LONGEST_CHANGE_US = 26 * 60 * MINUTE_US;
const CHANGE_STEP_US = 15 * MINUTE_US;

/**
 * The bars that are expected to start in a window, in order, none twice.
 *
 * @throws StoreError `usage` for a calendar that makes no sense, `window_too_large`.
 */
export function expectedRuns(
  calendar: TradingCalendar,
  timeframe: Timeframe,
  startUs: number,
  endUs: number,
): readonly BarRun[] {
  const { months, seconds } = TIMEFRAME_LENGTHS[timeframe];
  const stepUs = seconds * 1_000_000;
  if (calendar.kind === "always") {
    if (months > 0) return joined(monthRuns(startUs, endUs), startUs, endUs);
    const anchorUs = timeframe === "1w" ? FIRST_MONDAY_US : 0;
    const firstUs = anchorUs + Math.ceil((startUs - anchorUs) / stepUs) * stepUs;
    return joined([{ firstUs, stepUs, count: Math.ceil((endUs - firstUs) / stepUs) }], startUs, endUs);
  }
  if (months > 0 || stepUs > DAY_US) {
    throw new StoreError("usage", `Bars of ${timeframe} are checked against the calendar "always" only.`);
  }
  const days = tradingDays(calendar, startUs, endUs);
  return joined(
    stepUs === DAY_US ? dayRuns(days, calendar.align) : sessionRuns(days, stepUs, calendar.align),
    startUs,
    endUs,
  );
}

function* monthRuns(startUs: number, endUs: number): Generator<BarRun> {
  const date = new Date(startUs / 1_000);
  for (let month = 0; ; month++) {
    const at = (more: number): number => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + month + more, 1) * 1_000;
    if (at(0) >= endUs) return;
    yield { firstUs: at(0), stepUs: at(1) - at(0), count: 1 };
  }
}

/** A local date with its sessions, as instants. */
interface TradingDay {
  /** The date's midnight as if it were UTC. */
  readonly dateUs: number;
  readonly midnightUs: number;
  readonly sessions: readonly { readonly openUs: number; readonly closeUs: number }[];
}

/** A day before and two after: sessions may reach over midnight, and local dates differ from those of UTC. */
function* tradingDays(
  calendar: TradingCalendar & { kind: "weekly" },
  startUs: number,
  endUs: number,
): Generator<TradingDay> {
  const zone = timeZone(calendar.timezone);
  const from = Math.floor(startUs / DAY_US) - 2;
  const to = Math.floor(endUs / DAY_US) + 1;
  let closedUs = Number.NEGATIVE_INFINITY;
  for (let day = from; day <= to; day++) {
    const dateUs = day * DAY_US;
    const weekday = new Date(dateUs / 1_000).getUTCDay() || 7;
    const wanted = calendar.sessions.filter(({ days }) => days.includes(weekday));
    if (wanted.length === 0 || calendar.holidays.has(formatTime(dateUs).slice(0, 10))) continue;
    const sessions = wanted
      .map(({ open, close }) => sessionAt(zone, dateUs, minutesOf(open), minutesOf(close)))
      .filter(({ openUs, closeUs }) => closeUs > openUs)
      .sort((a, b) => a.openUs - b.openUs);
    for (const { openUs, closeUs } of sessions) {
      if (openUs < closedUs) {
        throw new StoreError("usage", `Sessions overlap on ${formatTime(dateUs).slice(0, 10)}; give each hour to one.`);
      }
      closedUs = closeUs;
    }
    if (sessions.length > 0) yield { dateUs, midnightUs: instantOf(zone, dateUs), sessions };
  }
}

function sessionAt(zone: TimeZone, dateUs: number, open: number, close: number): { openUs: number; closeUs: number } {
  const closeDateUs = close <= open ? dateUs + DAY_US : dateUs;
  return {
    openUs: instantOf(zone, dateUs + open * MINUTE_US),
    closeUs: instantOf(zone, closeDateUs + close * MINUTE_US),
  };
}

function minutesOf(time: string): number {
  const [hours, minutes] = time.split(":").map(Number);
  return hours! * 60 + minutes!;
}

function instantOf(zone: TimeZone, localUs: number): number {
  for (let backUs = 0; backUs <= LONGEST_CHANGE_US; backUs += CHANGE_STEP_US) {
    const instant = zone.instantOf(localUs - backUs);
    if (typeof instant === "number") return instant + backUs;
  }
  throw new StoreError("internal", `${zone.name} has no time ${formatTime(localUs)}.`);
}

function* dayRuns(days: Iterable<TradingDay>, align: "utc" | "local" | "session"): Generator<BarRun> {
  for (const { dateUs, midnightUs, sessions } of days) {
    const firstUs = { utc: dateUs, local: midnightUs, session: sessions[0]!.openUs }[align];
    yield { firstUs, stepUs: DAY_US, count: 1 };
  }
}

/** Every bar that has a part in a session. */
function* sessionRuns(
  days: Iterable<TradingDay>,
  stepUs: number,
  align: "utc" | "local" | "session",
): Generator<BarRun> {
  let beforeUs = Number.NEGATIVE_INFINITY;
  for (const { midnightUs, sessions } of days) {
    for (const { openUs, closeUs } of sessions) {
      const anchorUs = { utc: 0, local: midnightUs, session: openUs }[align];
      let firstUs = anchorUs + Math.floor((openUs - anchorUs) / stepUs) * stepUs;
      // A long bar may have parts in two sessions.
      while (firstUs < beforeUs) firstUs += stepUs;
      const count = Math.ceil((closeUs - firstUs) / stepUs);
      if (count <= 0) continue;
      beforeUs = firstUs + count * stepUs;
      yield { firstUs, stepUs, count };
    }
  }
}

/** Cut to the window, and those that go on in step made one. */
function joined(runs: Iterable<BarRun>, startUs: number, endUs: number): readonly BarRun[] {
  const all: BarRun[] = [];
  for (const { firstUs, stepUs, count } of runs) {
    const skipped = Math.max(0, Math.ceil((startUs - firstUs) / stepUs));
    const kept = Math.min(count, Math.ceil((endUs - firstUs) / stepUs)) - skipped;
    if (kept <= 0) continue;
    const run = { firstUs: firstUs + skipped * stepUs, stepUs, count: kept };
    const last = all.at(-1);
    const goesOn = last?.stepUs === stepUs && last.firstUs + last.count * stepUs === run.firstUs;
    if (goesOn) all[all.length - 1] = { ...last, count: last.count + kept };
    else all.push(run);
    if (all.length > MAX_RUNS) {
      throw new StoreError("window_too_large", `The window has more than ${MAX_RUNS} sessions; check a shorter one.`);
    }
  }
  return all;
}
