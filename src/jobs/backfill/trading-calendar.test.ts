import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TIMEFRAME_LENGTHS, type Timeframe } from "../../datasets/values/timeframe.ts";
import { type Coverage, CoverageCount } from "./coverage.ts";
import { type BarRun, expectedRuns, type Session, type TradingCalendar } from "./trading-calendar.ts";

const us = (text: string): number => Date.parse(text) * 1_000;
const DAY_US = 86_400_000_000;

const times = (runs: readonly BarRun[]): string[] =>
  runs.flatMap(({ firstUs, stepUs, count }) =>
    Array.from({ length: count }, (_, at) => new Date((firstUs + at * stepUs) / 1_000).toISOString()),
  );

const weekly = (fields: Partial<TradingCalendar & { kind: "weekly" }> = {}): TradingCalendar => ({
  kind: "weekly",
  timezone: "America/New_York",
  sessions: [{ days: [1, 2, 3, 4, 5], open: "09:30", close: "16:00" }],
  align: "utc",
  holidays: new Set(),
  ...fields,
});

const expected = (calendar: TradingCalendar, timeframe: Timeframe, start: string, end: string): string[] =>
  times(expectedRuns(calendar, timeframe, us(start), us(end)));

describe("around the clock", () => {
  it.each<[Timeframe, string, string, number, string, string]>([
    [
      "1m",
      "2024-02-28T00:00:00Z",
      "2024-03-01T00:00:00Z",
      2_880,
      "2024-02-28T00:00:00.000Z",
      "2024-02-29T23:59:00.000Z",
    ],
    [
      "1h",
      "2024-01-01T00:00:00.5Z",
      "2024-01-01T03:00:00.5Z",
      3,
      "2024-01-01T01:00:00.000Z",
      "2024-01-01T03:00:00.000Z",
    ],
    ["1d", "2023-12-31T12:00:00Z", "2024-03-01T00:00:00Z", 60, "2024-01-01T00:00:00.000Z", "2024-02-29T00:00:00.000Z"],
    ["1w", "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", 5, "2024-01-01T00:00:00.000Z", "2024-01-29T00:00:00.000Z"],
    ["1mo", "2023-11-15T00:00:00Z", "2024-03-02T00:00:00Z", 4, "2023-12-01T00:00:00.000Z", "2024-03-01T00:00:00.000Z"],
    ["1s", "1969-12-31T23:59:58Z", "1970-01-01T00:00:02Z", 4, "1969-12-31T23:59:58.000Z", "1970-01-01T00:00:01.000Z"],
  ])("bars of %s from %s to %s", (timeframe, start, end, count, first, last) => {
    const all = expected({ kind: "always" }, timeframe, start, end);
    expect([all.length, all[0], all.at(-1)]).toEqual([count, first, last]);
  });

  it("a century of seconds is one run", () => {
    const runs = expectedRuns({ kind: "always" }, "1s", us("1925-01-01T00:00:00Z"), us("2025-01-01T00:00:00Z"));
    expect(runs).toEqual([{ firstUs: us("1925-01-01T00:00:00Z"), stepUs: 1_000_000, count: 36_525 * 86_400 }]);
  });
});

describe("sessions", () => {
  it("follow summer time", () => {
    const all = expected(weekly(), "30m", "2024-03-08T00:00:00Z", "2024-03-12T00:00:00Z");
    expect(all).toHaveLength(26);
    expect([all[0], all[12], all[13], all[25]]).toEqual([
      "2024-03-08T14:30:00.000Z",
      "2024-03-08T20:30:00.000Z",
      "2024-03-11T13:30:00.000Z",
      "2024-03-11T19:30:00.000Z",
    ]);
  });

  it("leave holidays and weekends out", () => {
    const calendar = weekly({ holidays: new Set(["2024-07-04"]) });
    expect(expected(calendar, "1d", "2024-07-03T00:00:00Z", "2024-07-09T00:00:00Z")).toEqual([
      "2024-07-03T00:00:00.000Z",
      "2024-07-05T00:00:00.000Z",
      "2024-07-08T00:00:00.000Z",
    ]);
  });

  it.each([
    ["utc", "2024-07-03T13:00:00.000Z", 7],
    ["local", "2024-07-03T13:00:00.000Z", 7],
    ["session", "2024-07-03T13:30:00.000Z", 7],
  ] as const)("bars of an hour are counted from %s", (align, first, count) => {
    const all = expected(weekly({ align }), "1h", "2024-07-03T00:00:00Z", "2024-07-04T00:00:00Z");
    expect([all[0], all.length]).toEqual([first, count]);
  });

  it.each([
    ["utc", "2024-07-03T00:00:00.000Z"],
    ["local", "2024-07-03T04:00:00.000Z"],
    ["session", "2024-07-03T13:30:00.000Z"],
  ] as const)("bars of a day are counted from %s", (align, first) => {
    expect(expected(weekly({ align }), "1d", "2024-07-03T00:00:00Z", "2024-07-04T00:00:00Z")).toEqual([first]);
  });

  it("may reach over midnight, and a bar with parts in two of them counts once", () => {
    const sessions: Session[] = [
      { days: [7, 1, 2, 3, 4], open: "18:00", close: "17:00" },
      { days: [6], open: "10:10", close: "10:20" },
      { days: [6], open: "10:40", close: "10:50" },
    ];
    const calendar = weekly({ sessions });
    const all = expected(calendar, "1h", "2024-06-30T00:00:00Z", "2024-07-07T00:00:00Z");
    expect(all.filter((time) => time.startsWith("2024-07-01"))).toHaveLength(23);
    expect(all.filter((time) => time.startsWith("2024-07-06"))).toEqual(["2024-07-06T14:00:00.000Z"]);
  });

  it("that overlap are refused, and so are weeks and months", () => {
    const sessions: Session[] = [
      { days: [1], open: "09:00", close: "12:00" },
      { days: [1], open: "11:00", close: "13:00" },
    ];
    const [start, end] = [us("2024-01-01T00:00:00Z"), us("2024-02-01T00:00:00Z")];
    expect(() => expectedRuns(weekly({ sessions }), "1m", start, end)).toThrow(/Sessions overlap on 2024-01-01/);
    expect(() => expectedRuns(weekly(), "1w", start, end)).toThrow(/"always" only/);
    expect(() => expectedRuns(weekly(), "1mo", start, end)).toThrow(/"always" only/);
  });
});

/** Every minute is asked by the runtime's calendar whether a session is open: slow, and nothing in common with ours. */
function naiveOpen(calendar: TradingCalendar & { kind: "weekly" }, startUs: number, endUs: number): Set<number> {
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone: calendar.timezone,
    hourCycle: "h23",
    weekday: "short",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  });
  const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  const minutes = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
  const open = new Set<number>();
  for (let at = startUs; at < endUs; at += 60_000_000) {
    const part = Object.fromEntries(format.formatToParts(at / 1_000).map(({ type, value }) => [type, value]));
    const date = `${part["year"]}-${part["month"]}-${part["day"]}`;
    const minute = Number(part["hour"]) * 60 + Number(part["minute"]);
    const weekday = WEEKDAYS.indexOf(part["weekday"]!) + 1;
    const isOpen = calendar.sessions.some(
      (session) =>
        session.days.includes(weekday) &&
        !calendar.holidays.has(date) &&
        minute >= minutes(session.open) &&
        minute < minutes(session.close),
    );
    if (isOpen) open.add(at);
  }
  return open;
}

function naiveCoverage(expectedTimes: readonly number[], stepUs: number, stored: readonly number[]): Partial<Coverage> {
  const there = new Set(stored);
  const present = expectedTimes.filter((time) => there.has(time));
  const gaps: { start: string; end: string; bars: number }[] = [];
  let isInGap = false;
  const text = (time: number): string => new Date(time / 1_000).toISOString().replace(".000Z", "Z");
  for (const time of expectedTimes) {
    if (there.has(time)) isInGap = false;
    else {
      const before = isInGap ? gaps.pop()! : { start: text(time), bars: 0 };
      gaps.push({ start: before.start, end: text(time + stepUs), bars: before.bars + 1 });
      isInGap = true;
    }
  }
  return {
    expected: expectedTimes.length,
    present: present.length,
    missing: expectedTimes.length - present.length,
    unexpected: stored.length - present.length,
    gap_count: gaps.length,
    gaps,
  };
}

const TIMEFRAMES: readonly Timeframe[] = ["5m", "15m", "30m", "1h", "4h"];
/** Sessions whose opens and closes are no local times that a clock change skips or repeats. */
const SESSIONS: readonly (readonly Session[])[] = [
  [{ days: [1, 2, 3, 4, 5], open: "09:30", close: "16:00" }],
  [
    { days: [1, 3, 5], open: "09:00", close: "11:30" },
    { days: [1, 2, 3, 4, 5, 6, 7], open: "12:30", close: "15:00" },
  ],
  [{ days: [7], open: "00:00", close: "24:00" }],
  [{ days: [6, 7], open: "04:00", close: "23:45" }],
];

describe("against a naive reference", () => {
  it("expected bars, gaps and counts are the same", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"),
        fc.constantFrom(...SESSIONS),
        fc.constantFrom(...TIMEFRAMES),
        fc.constantFrom("2024-03-06", "2024-03-28", "2024-10-03", "2024-10-24", "2024-12-30", "2024-04-04"),
        fc.integer({ min: 0, max: 20 * 12 }),
        fc.integer({ min: 1, max: 6 * 24 * 12 }),
        fc.array(fc.tuple(fc.nat(1_000), fc.nat(1_000), fc.nat(3)), { maxLength: 20 }),
        fc.boolean(),
        (timezone, sessions, timeframe, date, offset, length, pieces, withHoliday) => {
          const holidays = new Set(withHoliday ? [date] : []);
          const calendar = { kind: "weekly", timezone, sessions, align: "utc", holidays } as const;
          const startUs = us(`${date}T00:00:00Z`) + offset * 300_000_000;
          const endUs = startUs + length * 300_000_000;
          const stepUs = TIMEFRAME_LENGTHS[timeframe].seconds * 1_000_000;
          const open = naiveOpen(calendar, startUs - DAY_US, endUs + DAY_US);
          const naive: number[] = [];
          for (let at = Math.ceil(startUs / stepUs) * stepUs; at < endUs; at += stepUs) {
            let hasPart = false;
            for (let minute = at; minute < at + stepUs; minute += 60_000_000) hasPart ||= open.has(minute);
            if (hasPart) naive.push(at);
          }
          const runs = expectedRuns(calendar, timeframe, startUs, endUs);
          expect(times(runs)).toEqual(naive.map((time) => new Date(time / 1_000).toISOString()));

          // Some stretches of the expected bars, and some bars beside the grid or the sessions.
          const stored = new Set<number>();
          for (const [at, size, beside] of pieces) {
            const from = at % (naive.length + 1);
            for (const time of naive.slice(from, from + (size % 50))) stored.add(time);
            const odd = startUs + ((at * 60 + size) % Math.max(1, length * 5)) * 60_000_000 + (beside === 3 ? 1 : 0);
            if (odd < endUs) stored.add(odd);
          }
          const sorted = [...stored].sort((a, b) => a - b);
          const count = new CoverageCount(runs);
          for (const time of sorted) count.add(time);
          const coverage = count.finish();
          expect(coverage).toMatchObject(naiveCoverage(naive, stepUs, sorted));
          expect(coverage.ranges.reduce((sum, range) => sum + range.bars, 0)).toBe(coverage.present);
        },
      ),
      { numRuns: 120 },
    );
  });
});

describe("coverage of a series", () => {
  const runs = expectedRuns({ kind: "always" }, "1m", us("2024-01-01T00:00:00Z"), us("2024-01-02T00:00:00Z"));

  it("of nothing at all is one gap", () => {
    const coverage = new CoverageCount(runs).finish();
    expect(coverage).toMatchObject({ expected: 1_440, present: 0, missing: 1_440, gap_count: 1, range_count: 0 });
    expect(coverage.gaps).toEqual([{ start: "2024-01-01T00:00:00Z", end: "2024-01-02T00:00:00Z", bars: 1_440 }]);
  });

  it("lists a thousand gaps and counts all", () => {
    const year = expectedRuns({ kind: "always" }, "1m", us("2024-01-01T00:00:00Z"), us("2025-01-01T00:00:00Z"));
    const count = new CoverageCount(year);
    for (let at = 0; at < 10_000; at += 2) count.add(us("2024-01-01T00:00:00Z") + at * 60_000_000);
    const coverage = count.finish();
    expect([coverage.gap_count, coverage.gaps.length, coverage.range_count]).toEqual([5_000, 1_000, 5_000]);
  });
});
