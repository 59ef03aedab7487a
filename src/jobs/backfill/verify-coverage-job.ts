/**
 * `verify-coverage`: compares the bars of a tenant's series with a calendar and reports, series by series, what is there,
 * what is missing and what nobody expected. Changes nothing. Reads page by page, so that memory does not grow with the
 * window; goes on from the last series after a crash.
 */
import { createHash } from "node:crypto";
import type { Store } from "../../client/open-store.ts";
import { timeOf } from "../../client/window.ts";
import type { VerifyCoverageInput, verifyCoverageInput } from "../../control/job-inputs.ts";
import { timeZone } from "../../datasets/values/time-zone.ts";
import { parseTimeframe, type Timeframe } from "../../datasets/values/timeframe.ts";
import { StoreError } from "../../errors/store-error.ts";
import { defineJob, type JobContext, type JobDefinition } from "../define-job.ts";
import { allowedSource, type BackfillAccess, refused } from "./backfill-access.ts";
import { type Coverage, CoverageCount } from "./coverage.ts";
import { type CheckedSeries, CoverageReport } from "./coverage-report.ts";
import { readHolidays } from "./holidays.ts";
import { type BarRun, expectedRuns, type TradingCalendar } from "./trading-calendar.ts";

/** A checkpoint may be nearly a megabyte, so it is not saved after every one of many small series. */
const CHECKPOINT_INTERVAL_MS = 2_000;

/** Series that are read together: reading one takes a few round trips, however few bars it has. */
const SERIES_PER_READING = 50;

/** The job, with what the operator allows it to read. */
export function verifyCoverageJob(access: Pick<BackfillAccess, "dirs">): JobDefinition<typeof verifyCoverageInput> {
  return defineJob({
    name: "verify-coverage",
    description: "Compares the bars of series with a calendar, and reports gaps.",
    schema: async () => (await import("../../control/job-inputs.ts")).verifyCoverageInput,
    mode: "backfill",
    tenantOf: ({ tenant }) => tenant,
    datasetOf: () => "bars",
    accept: (input) => void requestOf(input, access),
    run: (context) => verifyCoverage(context, access),
  });
}

interface Request {
  readonly timeframe: Timeframe;
  readonly startUs: number;
  readonly endUs: number;
  /** The holidays are still to be read. */
  readonly calendar: TradingCalendar;
  readonly holidaysFile: string | undefined;
}

/** What is asked for, checked as far as it can be without opening anything. */
function requestOf(input: VerifyCoverageInput, access: Pick<BackfillAccess, "dirs">): Request {
  const timeframe = parseTimeframe("timeframe", input.timeframe);
  if (typeof timeframe === "object") throw new StoreError(timeframe.code, timeframe.message);
  const [startUs, endUs] = [timeOf("start", input.start), timeOf("end", input.end)];
  if (startUs >= endUs)
    throw new StoreError("usage", `The window ends at ${input.end}, before it starts; turn it round.`);
  const holidaysFile = input.calendar.holidays_file;
  const calendar = calendarOf(input.calendar);
  if (holidaysFile !== undefined) {
    if (calendar.kind === "always") {
      throw new StoreError("usage", `The calendar "always" has no holidays; give sessions of the kind "weekly".`);
    }
    const source = allowedSource(holidaysFile, { ...access, hosts: [], credentials: new Map() });
    if (source.kind === "url") throw refused("Holidays are read from a local file only.");
  }
  expectedRuns(calendar, timeframe, startUs, endUs);
  return { timeframe, startUs, endUs, calendar, holidaysFile };
}

function calendarOf({ kind, timezone, sessions, align }: VerifyCoverageInput["calendar"]): TradingCalendar {
  if (kind === "always") {
    if (sessions === undefined) return { kind };
    throw new StoreError("usage", `The calendar "always" has no sessions; give them with the kind "weekly".`);
  }
  if (sessions === undefined) throw new StoreError("usage", `A calendar of the kind "weekly" needs its sessions.`);
  timeZone(timezone); // Refuses one that there is not.
  return { kind, timezone, sessions, align, holidays: new Set() };
}

interface Checkpoint {
  readonly plan: string;
  readonly next: number;
  readonly report: ReturnType<CoverageReport["toJSON"]>;
}

async function verifyCoverage(
  context: JobContext<VerifyCoverageInput>,
  access: Pick<BackfillAccess, "dirs">,
): Promise<object> {
  const request = requestOf(context.input, access);
  const runs = await runsOf(request, access);
  const store = await context.openStore(context.input.tenant);
  const all = await allSeries(store, context.input, request.timeframe, context.signal);
  const plan = createHash("sha256").update(JSON.stringify(all)).digest("hex");
  const report = new CoverageReport();
  const saved = context.checkpoint as Checkpoint | undefined | null;
  const isSame = saved?.plan === plan;
  if (isSame) report.restore(saved.report);
  let savedAt = performance.now();
  for (let next = isSame ? saved.next : 0; next < all.length; ) {
    context.signal.throwIfAborted();
    const some = groupAt(all, next);
    const coverages = await coverageOf(store, some, request, runs, context.signal);
    for (const [at, series] of some.entries()) report.add(series, coverages[at]!);
    next += some.length;
    if (performance.now() - savedAt < CHECKPOINT_INTERVAL_MS && next < all.length) continue;
    await context.saveCheckpoint({ plan, next, report: report.toJSON() } satisfies Checkpoint);
    await context.report({ message: `Checked ${next} of ${all.length} series.` });
    savedAt = performance.now();
  }
  await context.report({ metadata: { ...report.totals } });
  const { start, end, calendar } = context.input;
  return { timeframe: request.timeframe, start, end, calendar, ...report.result() };
}

async function runsOf(request: Request, access: Pick<BackfillAccess, "dirs">): Promise<readonly BarRun[]> {
  const { calendar, holidaysFile, timeframe, startUs, endUs } = request;
  const holidays = holidaysFile === undefined ? new Set<string>() : await readHolidays(holidaysFile, access.dirs);
  return expectedRuns(calendar.kind === "always" ? calendar : { ...calendar, holidays }, timeframe, startUs, endUs);
}

/** The tenant's series of this timeframe that are asked for, then the symbols of which it has none. */
async function allSeries(
  store: Store,
  { vendor, symbols }: VerifyCoverageInput,
  timeframe: Timeframe,
  signal: AbortSignal,
): Promise<readonly CheckedSeries[]> {
  const query = { timeframe, ...(vendor !== undefined && { vendor }), ...(symbols && { symbol: symbols }) };
  const found = await store.bars.series(query, { signal });
  const known = new Set(found.map(({ symbol }) => symbol));
  const missing = [...new Set(symbols?.map((symbol) => symbol.trim()))].filter((symbol) => !known.has(symbol));
  return [
    ...found.map((series) => ({ vendor: series.vendor, symbol: series.symbol, timeframe })),
    ...missing.map((symbol) => ({ vendor: vendor ?? null, symbol, timeframe })),
  ];
}

/** Some series from one place on, of one vendor. */
function groupAt(all: readonly CheckedSeries[], from: number): readonly CheckedSeries[] {
  const some = all.slice(from, from + SERIES_PER_READING);
  const other = some.findIndex(({ vendor }) => vendor !== some[0]!.vendor);
  return other < 0 ? some : some.slice(0, other);
}

/** Of series of one vendor, in their order. */
async function coverageOf(
  store: Store,
  some: readonly CheckedSeries[],
  { timeframe, startUs, endUs }: Request,
  runs: readonly BarRun[],
  signal: AbortSignal,
): Promise<Coverage[]> {
  const counts = new Map(some.map(({ symbol }) => [symbol, new CoverageCount(runs)]));
  const vendor = some[0]?.vendor ?? null;
  if (vendor !== null) {
    const query = { vendor, symbol: [...counts.keys()], timeframe, start: BigInt(startUs), end: BigInt(endUs) };
    for await (const { rows, series } of store.bars.readPages(query, { signal })) {
      for (let at = 0; at < rows.length; at++) {
        counts.get(series.get(rows.seriesIds[at]!)!["symbol"]!)!.add(Number(rows.times[at]));
      }
    }
  }
  return [...counts.values()].map((count) => count.finish());
}
