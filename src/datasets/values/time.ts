/**
 * Points in time: in as Date, bigint (microseconds) or ISO 8601 text, inside as microseconds since the epoch in a
 * safe integer, out as ISO 8601 in UTC. Nothing is guessed and nothing rounded: a time without a zone, a number
 * without a unit and digits finer than a microsecond are rejected. Dates are of the proleptic Gregorian calendar.
 */
import { StoreError } from "../../errors/store-error.ts";
import type { Rejection } from "../dataset.ts";
import { showValue } from "./show-value.ts";
import type { TimeZone } from "./time-zone.ts";

const SECOND_US = 1_000_000;
const MINUTE_US = 60 * SECOND_US;
const HOUR_US = 60 * MINUTE_US;
const DAY_MS = 86_400_000;
const DAY_US = DAY_MS * 1_000;

/** Earliest time that is stored: 1900-01-01T00:00:00Z. */
export const EARLIEST_TIME_US = Date.UTC(1900, 0, 1) * 1_000;
/** Two years are at least this long; only beyond it does the calendar have to be asked. */
const SHORTEST_TWO_YEARS_MS = 730 * DAY_MS;
/** Largest offset from UTC that any clock has had, rounded up to a minute; PostgreSQL draws the same line. */
const MAX_OFFSET_MINUTES = 15 * 60 + 59;
/** A microsecond has this many fraction digits; more are read, but must be zeros. */
const MICROSECOND_DIGITS = 6;
const MAX_FRACTION_DIGITS = 9;

/**
 * Reads a point in time.
 *
 * @param column - Name of the column, for the message.
 * @param value - A Date, microseconds since the epoch as bigint, or ISO 8601 text: `YYYY-MM-DD`, `T` or a blank,
 *   `HH:MM[:SS[.f…]]`, then `Z` or `±HH[[:]MM]`. Without a zone, or as a date alone, only where `zone` is given.
 * @param zone - What a text without a zone of its own is in.
 * @param nowMs - The clock, milliseconds since the epoch; pass one value for a whole batch.
 * @returns Microseconds since the epoch, or a rejection: `time_invalid`, `time_zone_missing`, `time_too_precise`,
 *   `time_out_of_range` (before 1900-01-01 or more than two years after `nowMs`).
 */
export function parseTime(column: string, value: unknown, zone?: TimeZone, nowMs = Date.now()): number | Rejection {
  const us = typeof value === "string" ? timeFromText(column, value, zone) : timeFromOther(column, value);
  if (typeof us !== "number" || isStorable(us, nowMs)) return us;
  return rejected("time_out_of_range", column, value, "which is not within 1900-01-01 to two years from now");
}

function isStorable(us: number, nowMs: number): boolean {
  return us >= EARLIEST_TIME_US && (us <= (nowMs + SHORTEST_TWO_YEARS_MS) * 1_000 || us <= latestTimeUs(nowMs));
}

/** The latest time that is stored: two calendar years from now, as PostgreSQL counts them. */
export function latestTimeUs(nowMs: number): number {
  const latest = new Date(nowMs);
  const day = latest.getUTCDate();
  latest.setUTCFullYear(latest.getUTCFullYear() + 2);
  // From a leap day it is the last of February.
  if (latest.getUTCDate() !== day) latest.setUTCDate(0);
  return latest.getTime() * 1_000;
}

function timeFromOther(column: string, value: unknown): number | Rejection {
  if (value instanceof Date) {
    const ms = value.getTime();
    return Number.isNaN(ms) ? invalid(column, value, "which is not a valid time") : ms * 1_000;
  }
  // Beyond a safe integer a microsecond would be lost, but such a time is out of range anyway.
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "number") return invalid(column, value, NUMBER_HINT);
  return invalid(column, value, "which is not a time");
}

const NUMBER_HINT = "a number without a unit; write the time as ISO 8601 such as 2024-01-02T15:30:00Z";
const TEXT_HINT = "which is not an ISO 8601 time such as 2024-01-02T15:30:00Z";

/** Two digits at a place of a text as a number, or a negative one where they are none. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 0x30;
  const ones = text.charCodeAt(at + 1) - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1_000_000;
}

function timeFromText(column: string, raw: string, zone: TimeZone | undefined): number | Rejection {
  const hasBlanks = raw.charCodeAt(0) <= 0x20 || raw.charCodeAt(raw.length - 1) <= 0x20;
  const text = hasBlanks ? raw.trim() : raw;
  const dayUs = dayOfText(text);
  if (dayUs === undefined) return invalid(column, raw, /^[+-]?[\d.]+$/.test(text) ? NUMBER_HINT : TEXT_HINT);
  if (text.length === 10) return localTime(column, raw, dayUs, zone, "is a date without a time zone");
  const separator = text.charCodeAt(10);
  const minutes = twoDigits(text, 11) * 60 + twoDigits(text, 14);
  const wellFormed = (separator === 0x54 || separator === 0x20 || separator === 0x74) && text.charCodeAt(13) === 0x3a;
  if (!wellFormed || minutes < 0) return invalid(column, raw, TEXT_HINT);
  if (minutes >= 24 * 60 || twoDigits(text, 14) > 59) return invalid(column, raw, "which is not a time of day");
  return secondsOfText(column, raw, text, dayUs + minutes * MINUTE_US, zone);
}

function secondsOfText(
  column: string,
  raw: string,
  text: string,
  minuteUs: number,
  zone: TimeZone | undefined,
): number | Rejection {
  let us = minuteUs;
  let at = 16;
  if (text.charCodeAt(at) === 0x3a) {
    const seconds = twoDigits(text, at + 1);
    if (seconds < 0) return invalid(column, raw, TEXT_HINT);
    if (seconds > 59) return invalid(column, raw, "which has a second past 59 (leap seconds are not kept)");
    us += seconds * SECOND_US;
    at += 3;
    if (text.charCodeAt(at) === 0x2e) {
      const end = digitsEnd(text, at + 1);
      const fraction = fractionUs(text, at + 1, end);
      if (fraction === undefined) return invalid(column, raw, TEXT_HINT);
      if (fraction < 0) return rejected("time_too_precise", column, raw, "which is finer than a microsecond");
      us += fraction;
      at = end;
    }
  }
  if (at === text.length) return localTime(column, raw, us, zone, "has no time zone");
  const offset = offsetMinutes(text, at);
  return offset === undefined ? invalid(column, raw, TEXT_HINT) : us - offset * MINUTE_US;
}

function localTime(
  column: string,
  raw: string,
  localUs: number,
  zone: TimeZone | undefined,
  lack: string,
): number | Rejection {
  if (zone === undefined) {
    const hint = "write an offset such as Z, or name the zone with --timezone";
    return { code: "time_zone_missing", message: `${column} is ${showValue(raw)}, which ${lack}; ${hint}.` };
  }
  // Far outside what is stored the zone's rules do not matter, and asking them is what fills their memory.
  if (localUs < EARLIEST_TIME_US - DAY_US || localUs > MAX_YEAR_END_US) return localUs;
  const us = zone.instantOf(localUs);
  if (typeof us === "number") return us;
  const why = us === "skipped" ? "does not exist there" : "exists twice there";
  return invalid(column, raw, `a local time in ${zone.name} that ${why} (the clocks change); write it with an offset`);
}

/** No clock is set so late; bounds the days for which zone rules are looked up. */
const MAX_YEAR_END_US = Date.UTC(2200, 0, 1) * 1_000;

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function digitsEnd(text: string, from: number): number {
  let at = from;
  while (isDigit(text.charCodeAt(at))) at++;
  return at;
}

/** Microseconds of the fraction digits in a range; undefined where there are none or too many, -1 where too fine. */
function fractionUs(text: string, from: number, end: number): number | undefined {
  const count = end - from;
  if (count === 0 || count > MAX_FRACTION_DIGITS) return undefined;
  let us = 0;
  for (let place = 0; place < MICROSECOND_DIGITS; place++) {
    us = us * 10 + (place < count ? text.charCodeAt(from + place) - 0x30 : 0);
  }
  for (let at = from + MICROSECOND_DIGITS; at < end; at++) if (text.charCodeAt(at) !== 0x30) return -1;
  return us;
}

/** Minutes ahead of UTC of `Z` or `±HH[[:]MM]` that fills the rest of the text, or undefined. */
function offsetMinutes(text: string, at: number): number | undefined {
  const sign = text.charCodeAt(at);
  const rest = text.length - at;
  if (sign === 0x5a || sign === 0x7a) return rest === 1 ? 0 : undefined;
  if (sign !== 0x2b && sign !== 0x2d) return undefined;
  let minutes = 0;
  if (rest === 6 && text.charCodeAt(at + 3) === 0x3a) minutes = twoDigits(text, at + 4);
  else if (rest === 5) minutes = twoDigits(text, at + 3);
  else if (rest !== 3) return undefined;
  const total = twoDigits(text, at + 1) * 60 + minutes;
  if (total < 0 || minutes < 0 || minutes > 59 || total > MAX_OFFSET_MINUTES) return undefined;
  return sign === 0x2d ? -total : total;
}

// Rows of a file mostly share their day with the row before; only the result of a pure function is remembered.
let lastDate = -1;
let lastDateUs = 0;

/** Start of the day that a text begins with, as UTC; undefined where that is no date of the years 1 to 9999. */
function dayOfText(text: string): number | undefined {
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2);
  const month = twoDigits(text, 5);
  const day = twoDigits(text, 8);
  if (year < 1 || text.charCodeAt(4) !== 0x2d || text.charCodeAt(7) !== 0x2d) return undefined;
  if (month < 1 || month > 12 || day < 1) return undefined;
  const date = (year * 100 + month) * 100 + day;
  if (date !== lastDate) {
    if (day > daysInMonth(year, month)) return undefined;
    lastDate = date;
    lastDateUs = startOfDayUs(year, month, day);
  }
  return lastDateUs;
}

function daysInMonth(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}

/** Days are counted in years that begin with March, so that the leap day comes last. */
function startOfDayUs(year: number, month: number, day: number): number {
  const shifted = month > 2 ? year : year - 1;
  const monthFromMarch = (month + 9) % 12;
  const leapDays = Math.floor(shifted / 4) - Math.floor(shifted / 100) + Math.floor(shifted / 400);
  const dayOfYear = Math.floor((153 * monthFromMarch + 2) / 5) + day - 1;
  return (shifted * 365 + leapDays + dayOfYear - 719_468) * DAY_US;
}

let lastDayNumber = Number.NaN;
let lastDayText = "";

const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, "0"));

/**
 * A time as ISO 8601 in UTC: seconds always, a fraction of up to six digits only where there is one.
 *
 * @param us - Microseconds since the epoch.
 * @throws StoreError `time_out_of_range` outside the years 1 to 9999, which ISO 8601 writes in four digits.
 */
export function formatTime(us: number | bigint): string {
  // Number(null) is a time.
  const value = typeof us === "number" || typeof us === "bigint" ? Number(us) : Number.NaN;
  const day = Math.floor(value / DAY_US);
  if (day !== lastDayNumber) {
    lastDayText = formatDay(day, us);
    lastDayNumber = day;
  }
  let rest = value - day * DAY_US;
  const hour = Math.floor(rest / HOUR_US);
  rest -= hour * HOUR_US;
  const minute = Math.floor(rest / MINUTE_US);
  rest -= minute * MINUTE_US;
  const second = Math.floor(rest / SECOND_US);
  rest -= second * SECOND_US;
  return `${lastDayText}T${TWO_DIGITS[hour]}:${TWO_DIGITS[minute]}:${TWO_DIGITS[second]}${formatFraction(rest)}Z`;
}

function formatDay(day: number, us: number | bigint): string {
  const ms = day * DAY_MS;
  const isWritable = Number.isSafeInteger(Number(us)) && ms >= FIRST_DAY_MS && ms <= LAST_DAY_MS;
  if (!isWritable) {
    throw new StoreError(
      "time_out_of_range",
      `${showValue(us)} microseconds since the epoch is not a time that can be written.`,
    );
  }
  return new Date(ms).toISOString().slice(0, 10);
}

const FIRST_DAY_MS = -62_135_596_800_000;
const LAST_DAY_MS = 253_402_214_400_000;

function formatFraction(us: number): string {
  if (us === 0) return "";
  let digits = String(us).padStart(MICROSECOND_DIGITS, "0");
  while (digits.endsWith("0")) digits = digits.slice(0, -1);
  return `.${digits}`;
}

function invalid(column: string, value: unknown, why: string): Rejection {
  return rejected("time_invalid", column, value, why);
}

function rejected(code: Rejection["code"], column: string, value: unknown, why: string): Rejection {
  return { code, message: `${column} is ${showValue(value)}, ${why}.` };
}
