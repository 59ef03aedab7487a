import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { z } from "zod";
import { openStore } from "../../src/client/open-store.ts";
import type { verifyCoverageInput } from "../../src/control/job-inputs.ts";
import { verifyCoverageJob } from "../../src/jobs/backfill/verify-coverage-job.ts";
import { schemaOf } from "../../src/jobs/define-job.ts";
import { bar, manyBars } from "../support/bars.ts";
import { type AttemptOptions, attemptJob } from "../support/job-context.ts";
import { scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

type Input = Partial<z.input<typeof verifyCoverageInput>>;

interface Report {
  summary: Record<string, number>;
  incomplete: { vendor: string | null; symbol: string; gap_count: number; gaps: object[]; [name: string]: unknown }[];
  incomplete_left_out: number;
  complete: { symbol: string }[];
  complete_left_out: number;
}

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let inside: string;

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
  inside = join(scratch.path, "inside");
  await mkdir(inside);
  await database.sql("select mds.create_tenant('large', 'large')");
});

afterAll(async () => {
  await scratch.remove();
  await database.drop();
});

// The first bar of the test's series is at 14:30 of 2 January 2024, a Tuesday.
const window = { timeframe: "1m", start: "2024-01-02T14:30:00Z", end: "2024-01-02T15:30:00Z" };
const run = async (input: Input = {}, options: AttemptOptions = {}) => {
  const attempt = await attemptJob(database, verifyCoverageJob({ dirs: [inside] }), { ...window, ...input }, options);
  return { ...attempt, report: attempt.result as Report };
};

describe("coverage of a tenant's series", () => {
  beforeAll(async () => {
    await using store = await openStore({ url: database.url });
    await store.bars.upsert(manyBars(60, { symbol: "WHOLE" }));
    await store.bars.upsert([
      ...manyBars(10, { symbol: "HOLES" }),
      ...[12, 13, 30].map((at) => bar(at, { symbol: "HOLES" })),
      bar(40, { symbol: "HOLES", ts: "2024-01-02T15:10:00.5Z" }),
    ]);
    await store.bars.upsert(manyBars(60, { symbol: "WHOLE", vendor: "second" }));
    await store.bars.upsert([bar(0, { symbol: "HOLES", timeframe: "1h", ts: "2024-01-02T14:00:00Z" })]);
  });

  it("is reported series by series with ranges and counts", async () => {
    const { error, report } = await run();
    expect(error).toBeUndefined();
    expect(report).toMatchObject({
      timeframe: "1m",
      summary: {
        series: 3,
        complete: 2,
        incomplete: 1,
        empty: 0,
        expected: 180,
        present: 133,
        missing: 47,
        unexpected: 1,
      },
      complete: [{ symbol: "WHOLE" }, { symbol: "WHOLE" }],
    });
    expect(report.incomplete).toEqual([
      {
        vendor: "test",
        symbol: "HOLES",
        timeframe: "1m",
        expected: 60,
        present: 13,
        missing: 47,
        unexpected: 1,
        range_count: 3,
        ranges: [
          { start: "2024-01-02T14:30:00Z", end: "2024-01-02T14:40:00Z", bars: 10 },
          { start: "2024-01-02T14:42:00Z", end: "2024-01-02T14:44:00Z", bars: 2 },
          { start: "2024-01-02T15:00:00Z", end: "2024-01-02T15:01:00Z", bars: 1 },
        ],
        gap_count: 3,
        gaps: [
          { start: "2024-01-02T14:40:00Z", end: "2024-01-02T14:42:00Z", bars: 2 },
          { start: "2024-01-02T14:44:00Z", end: "2024-01-02T15:00:00Z", bars: 16 },
          { start: "2024-01-02T15:01:00Z", end: "2024-01-02T15:30:00Z", bars: 29 },
        ],
        unexpected_times: ["2024-01-02T15:10:00.5Z"],
      },
    ]);
  });

  it("has symbols that were asked for and are not there as wholly missing", async () => {
    const { report } = await run({ symbols: ["WHOLE", "NOWHERE"], vendor: "second" });
    expect(report.summary).toMatchObject({ series: 2, complete: 1, empty: 1, expected: 120, missing: 60 });
    expect(report.incomplete).toMatchObject([
      { vendor: "second", symbol: "NOWHERE", present: 0, missing: 60, gaps: [{ bars: 60 }] },
    ]);
    expect((await run({ symbols: ["NOWHERE"] })).report.incomplete).toMatchObject([{ vendor: null }]);
  });

  it("knows sessions and holidays, and tells of bars outside them", async () => {
    await writeFile(join(inside, "holidays.txt"), "# closed\n2024-01-01\n\n2024-01-03 # a Wednesday\n");
    const calendar = {
      kind: "weekly",
      timezone: "America/New_York",
      sessions: [{ days: [1, 2, 3, 4, 5], open: "09:40", close: "10:00" }],
      holidays_file: join(inside, "holidays.txt"),
    } satisfies Input["calendar"];
    const { report, error } = await run({
      symbols: ["WHOLE"],
      vendor: "test",
      start: "2024-01-01T00:00:00Z",
      end: "2024-01-05T00:00:00Z",
      calendar,
    });
    expect(error).toBeUndefined();
    expect(report.incomplete).toMatchObject([
      {
        expected: 40,
        present: 20,
        missing: 20,
        unexpected: 40,
        ranges: [{ start: "2024-01-02T14:40:00Z", end: "2024-01-02T15:00:00Z", bars: 20 }],
        gaps: [{ start: "2024-01-04T14:40:00Z", end: "2024-01-04T15:00:00Z", bars: 20 }],
      },
    ]);
  });

  const weekly = { kind: "weekly", timezone: "America/New_York" } as const;
  const sessions = [{ days: [1], open: "09:30", close: "16:00" }];
  it.each<[string, Input, string]>([
    ["a window that ends before it starts", { start: window.end, end: window.start }, "usage"],
    ["a timeframe that is none", { timeframe: "7m" }, "timeframe_invalid"],
    ["sessions without any", { calendar: weekly }, "usage"],
    ["sessions around the clock", { calendar: { kind: "always", sessions } }, "usage"],
    ["a zone that is none", { calendar: { ...weekly, timezone: "Nowhere", sessions } }, "usage"],
    ["weeks with sessions", { timeframe: "1w", calendar: { ...weekly, sessions } }, "usage"],
    ["holidays elsewhere", { calendar: { ...weekly, sessions, holidays_file: "/etc/passwd" } }, "backfill_refused"],
  ])("refuses %s before the job is queued", async (_, input, code) => {
    const job = verifyCoverageJob({ dirs: [inside] });
    const parsed = (await schemaOf(job)).parse({ ...window, ...input });
    expect(() => job.accept!(parsed)).toThrow(expect.objectContaining({ code }));
    expect((await run(input)).error).toMatchObject({ code });
  });

  it("refuses a list of holidays that is none, with the line", async () => {
    await writeFile(join(inside, "odd.txt"), "2024-01-01\n2024-02-30\n");
    const { error } = await run({ calendar: { ...weekly, sessions, holidays_file: join(inside, "odd.txt") } });
    expect(error).toMatchObject({
      code: "file_unreadable",
      message: expect.stringContaining('"2024-02-30" in line 2'),
    });
  });
});

describe("many series", () => {
  const SERIES = 900;
  const large = { tenant: "large", start: "2024-01-02T14:30:00Z", end: "2024-01-04T14:30:00Z" };

  beforeAll(async () => {
    await using store = await openStore({ url: database.url, tenant: "large" });
    const rows = Array.from({ length: SERIES }, (_, at) =>
      Array.from({ length: 12 }, (__, minute) => bar(minute * 2, { symbol: `S${String(at).padStart(4, "0")}` })),
    );
    await store.bars.upsert(rows.flat());
    await store.bars.upsert(Array.from({ length: 1_200 }, (_, at) => bar(at * 2, { symbol: "S0000" })));
  });

  it("fit a result of a megabyte, which says what it left out", async () => {
    const { report, error } = await run(large);
    expect(error).toBeUndefined();
    expect(Buffer.byteLength(JSON.stringify(report))).toBeLessThan(1_000_000);
    expect(report.summary).toMatchObject({ series: SERIES, incomplete: SERIES, present: 1_200 + (SERIES - 1) * 12 });
    expect(report.incomplete.length + report.incomplete_left_out).toBe(SERIES);
    expect(report.incomplete_left_out).toBeGreaterThan(0);
    expect(report.incomplete[0]).toMatchObject({ symbol: "S0000", gap_count: 1_200 });
    expect(report.incomplete[0]!.gaps).toHaveLength(1_000);
  });

  it("are gone on with after a cut, and the report is the same", async () => {
    const whole = await run(large);
    const stopping = new AbortController();
    let now = performance.now();
    const real = performance.now.bind(performance);
    // Each look at the clock is seconds later, so that every reading saves a checkpoint.
    performance.now = () => (now += 5_000);
    let saved = 0;
    const cut = await run(large, {
      signal: stopping.signal,
      onCheckpoint: () => {
        if (++saved === 4) stopping.abort();
      },
    });
    performance.now = real;
    expect(cut.error).toBeDefined();
    expect(cut.checkpoint).toMatchObject({ next: 200 });
    const rest = await run(large, { checkpoint: cut.checkpoint });
    expect(rest.report).toEqual(whole.report);
  });
});
