/**
 * Named time zones: which instant a local time means. A local time that a clock change skips or repeats has no single
 * answer and gets none. Rules come from the runtime's own time zone data (Intl); one lookup of each day is kept.
 */
import { StoreError } from "../../errors/store-error.ts";
import { showValue } from "./show-value.ts";

const SECOND_US = 1_000_000;
const DAY_SECONDS = 86_400;
const DAY_US = DAY_SECONDS * SECOND_US;

/** A time zone that local times can be read in. */
export interface TimeZone {
  /** Its IANA name, as the runtime spells it. */
  readonly name: string;
  /**
   * The instant of a local time.
   *
   * @param localUs - The local date and time as if it were UTC, in microseconds since the epoch.
   * @returns Microseconds since the epoch, or why there is no single answer: `skipped` and `repeated` by a clock change.
   */
  readonly instantOf: (localUs: number) => number | "skipped" | "repeated";
}

/** UTC, for which there is nothing to look up. */
const UTC: TimeZone = { name: "UTC", instantOf: (localUs) => localUs };

/** Short names: in part IANA's, but read differently in different places (CST, IST), or without summer time (EST). */
const ABBREVIATION = /^[A-Z]{1,4}$/;

/**
 * A time zone by its IANA name (`Europe/Berlin`, `UTC`) or fixed offset (`+01:00`).
 *
 * @throws StoreError `usage` when there is no such zone, or when the name is an abbreviation such as `EST`.
 */
export function timeZone(name: string): TimeZone {
  if (name === "Z") return UTC;
  // Without a name Intl takes the machine's own zone.
  const format = typeof name === "string" ? localFormat(name) : undefined;
  const canonical = format?.resolvedOptions().timeZone;
  if (canonical === "UTC") return UTC;
  if (format === undefined || canonical === undefined || ABBREVIATION.test(name.toUpperCase())) {
    throw new StoreError(
      "usage",
      `${showValue(name)} is not a time zone; use an IANA name such as UTC, Europe/Berlin or America/New_York.`,
      { details: { timeZone: name } },
    );
  }
  const offsets = offsetLookup(format);
  return { name: canonical, instantOf: (localUs) => resolve(offsets, localUs) };
}

/** Seconds that a zone's clocks are ahead of UTC at an instant. */
type OffsetLookup = (us: number) => number;

/**
 * The offsets a day before and a day after are the only two that can apply: since 1900 no zone has changed its clocks
 * twice within four days.
 */
function resolve(offsetAt: OffsetLookup, localUs: number): number | "skipped" | "repeated" {
  const before = offsetAt(localUs - DAY_US);
  const after = offsetAt(localUs + DAY_US);
  const early = localUs - before * SECOND_US;
  if (before === after) return early;
  const late = localUs - after * SECOND_US;
  const earlyHolds = offsetAt(early) === before;
  const lateHolds = offsetAt(late) === after;
  if (earlyHolds === lateHolds) return earlyHolds ? "repeated" : "skipped";
  return earlyHolds ? early : late;
}

/** A UTC day of a zone: its offset, and for the rare day with a clock change when that is and what follows. */
interface ZoneDay {
  readonly offset: number;
  readonly changeSecond: number;
  readonly offsetAfter: number;
}

/** Remembers each day asked for; times are range-checked before, which bounds the days to some 47,000. */
function offsetLookup(format: Intl.DateTimeFormat): OffsetLookup {
  const days = new Map<number, ZoneDay>();
  return (us) => {
    const second = Math.floor(us / SECOND_US);
    const day = Math.floor(second / DAY_SECONDS);
    let facts = days.get(day);
    if (facts === undefined) {
      facts = zoneDay(format, day);
      days.set(day, facts);
    }
    return second < facts.changeSecond ? facts.offset : facts.offsetAfter;
  };
}

function zoneDay(format: Intl.DateTimeFormat, day: number): ZoneDay {
  let from = day * DAY_SECONDS;
  let to = from + DAY_SECONDS;
  const offset = offsetByFormat(format, from);
  const offsetAfter = offsetByFormat(format, to);
  if (offset === offsetAfter) return { offset, changeSecond: to, offsetAfter };
  while (to - from > 1) {
    const middle = Math.floor((from + to) / 2);
    if (offsetByFormat(format, middle) === offset) from = middle;
    else to = middle;
  }
  return { offset, changeSecond: to, offsetAfter };
}

function localFormat(name: string): Intl.DateTimeFormat | undefined {
  try {
    return new Intl.DateTimeFormat("en-US", {
      timeZone: name,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
  } catch {
    return undefined;
  }
}

function offsetByFormat(format: Intl.DateTimeFormat, second: number): number {
  const [month, day, year, hour, minute, sec] = format
    .format(second * 1_000)
    .match(/\d+/g)!
    .map(Number);
  return Date.UTC(year!, month! - 1, day!, hour!, minute!, sec!) / 1_000 - second;
}
