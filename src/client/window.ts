/**
 * Which rows a read is about: its series, found by their dimensions, and a checked half-open window of time.
 */
import { withRetry } from "../database/retry.ts";
import {
  openReadSessionWith,
  type ReadSession,
  runInTenant,
  type Statement,
  type TenantScope,
} from "../database/session.ts";
import type { Aggregated, DatasetShape, DimensionColumn, Rejection, TimeInput } from "../datasets/dataset.ts";
import { parseDimension } from "../datasets/derive/parse-column.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { EARLIEST_TIME_US, parseTime } from "../datasets/values/time.ts";
import { requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";

/** More series than this are not held in memory at once. */
const MAX_SERIES = 100_000;
/** A window may end later than any storable time, but microseconds have to stay within 53 bits. */
export const LATEST_WINDOW_MS = Date.UTC(2200, 0, 1);

/** One value, several, or, where it is left out, any. */
export type Choice = string | readonly string[];

/** Which rows: some series and a half-open window, start <= time < end. */
export type WindowQuery<S extends DatasetShape> = { readonly [D in S["dimensions"][number] as D["name"]]?: Choice } & {
  readonly start?: TimeInput;
  readonly end?: TimeInput;
  /** At most so many rows. */
  readonly limit?: number;
  /** Within each series the newest row first. */
  readonly newestFirst?: boolean;
};

/** A query of a dataset that is only known at run time: its dimensions, start, end, limit and newestFirst. */
export type AnyWindowQuery = Readonly<Record<string, Choice | TimeInput | number | boolean>>;

export interface ReadOptions {
  readonly signal?: AbortSignal;
}

/** A series' dimensions by name. */
export type Series<S extends DatasetShape> = { readonly [D in S["dimensions"][number] as D["name"]]: string };

/** Whether rows are those that were written, or were worked out of finer ones. */
export type SeriesSource = "stored" | "aggregated";

/** A series and, where its dataset has aggregates, what its rows are read from: always one of the two, never a mixture. */
export type AnsweringSeries<S extends DatasetShape> = Series<S> &
  (S extends { readonly aggregated: Aggregated } ? { readonly source: SeriesSource } : unknown);

export interface FoundSeries<S extends DatasetShape> {
  /** Tells it from the others of one reading. */
  readonly id: number;
  readonly dimensions: Series<S>;
  /** What its rows are read from where they are not stored: the stem of the aggregate's tables, and its id there. */
  readonly aggregate?: { readonly name: string; readonly seriesId: number };
}

/** A query whose parts were checked. */
export interface Window {
  readonly startUs: number;
  readonly endUs: number;
  readonly limit: number;
  readonly newestFirst: boolean;
}

export interface ReadTarget<S extends DatasetShape> {
  readonly scope: TenantScope;
  readonly dataset: S;
}

/** The series as callers see it. */
export function answering<S extends DatasetShape>(
  { aggregated }: DatasetShape,
  { dimensions, aggregate }: FoundSeries<S>,
): AnsweringSeries<S> {
  const source: SeriesSource = aggregate === undefined ? "stored" : "aggregated";
  return (aggregated === undefined ? dimensions : { ...dimensions, source }) as AnsweringSeries<S>;
}

/** The tenant's series that match, in the order of their dimensions. @throws StoreError `window_too_large`. */
export async function findSeries<S extends DatasetShape>(
  target: ReadTarget<S>,
  query: WindowQuery<S>,
  options: LookUpOptions = {},
): Promise<FoundSeries<S>[]> {
  windowOf(target.dataset, query); // The window is not looked at, but a misspelt name would find all series.
  const rows = await lookUp(target, query, { ...options, atMost: MAX_SERIES + 1 });
  if (rows.length > MAX_SERIES) {
    throw tooManySeries();
  }
  return rows;
}

function tooManySeries(): StoreError {
  return new StoreError("window_too_large", `More than ${MAX_SERIES} series match; name fewer of them.`);
}

/** The same in the first moment of a read session, which the caller closes. */
export async function findSeriesInSession<S extends DatasetShape>(
  { scope, dataset }: ReadTarget<S>,
  query: WindowQuery<S>,
  { signal }: ReadOptions,
): Promise<{ readonly session: ReadSession; readonly found: readonly FoundSeries<S>[] }> {
  const statement = lookUpStatement(dataset, wantedOf(dataset, query), { atMost: MAX_SERIES + 1 });
  const { session, rows } = await openReadSessionWith<SeriesRow>(scope, statement, signal);
  if (rows.length <= MAX_SERIES) return { session, found: rows.map(foundSeries<S>) };
  await session.close();
  throw tooManySeries();
}

/** The same, however many there are, a hundred thousand at a time. */
export async function* seriesPages<S extends DatasetShape>(
  target: ReadTarget<S>,
  query: WindowQuery<S>,
  options: LookUpOptions = {},
): AsyncGenerator<FoundSeries<S>[]> {
  let after: FoundSeries<S> | undefined;
  do {
    const page = await lookUp(target, query, { ...options, atMost: MAX_SERIES, after });
    after = page.length < MAX_SERIES ? undefined : page.at(-1);
    yield page;
  } while (after !== undefined);
}

interface LookUpOptions extends ReadOptions {
  readonly ignoreCase?: boolean;
  /** Aggregates do not stand in for what is not stored. */
  readonly storedOnly?: boolean;
}

interface LookUpPage<S extends DatasetShape> extends LookUpOptions {
  readonly atMost: number;
  /** The series behind which the next ones are. */
  readonly after?: FoundSeries<S> | undefined;
}

interface SeriesRow extends Readonly<Record<string, unknown>> {
  readonly series_id: number;
  /** Null where the rows are stored. */
  readonly aggregate: string | null;
}

async function lookUp<S extends DatasetShape>(
  { scope, dataset }: ReadTarget<S>,
  query: WindowQuery<S>,
  options: LookUpPage<S>,
): Promise<FoundSeries<S>[]> {
  const statement = lookUpStatement(dataset, wantedOf(dataset, query), options);
  const rows = await withRetry(() => runInTenant<SeriesRow>(scope, statement, options.signal), options.signal);
  return rows.map(foundSeries<S>);
}

function wantedOf<S extends DatasetShape>({ dimensions }: S, query: WindowQuery<S>): (string[] | null)[] {
  return dimensions.map(({ name, type }) => choices(name, type, (query as Record<string, unknown>)[name]));
}

function foundSeries<S extends DatasetShape>(
  { series_id: seriesId, aggregate, ...rest }: SeriesRow,
  at: number,
): FoundSeries<S> {
  const dimensions = rest as unknown as Series<S>;
  // One series of fine rows may answer for several timeframes, so its id would not tell them apart.
  if (aggregate === null) return { id: seriesId, dimensions };
  return { id: -1 - at, dimensions, aggregate: { name: aggregate, seriesId } };
}

function lookUpStatement(
  { name, dimensions, aggregated }: DatasetShape,
  wanted: readonly (string[] | null)[],
  { ignoreCase = false, storedOnly = false, atMost, after }: LookUpPage<DatasetShape>,
): Statement {
  const names = dimensions.map((dimension) => dimension.name);
  const named = aggregated === undefined ? null : wanted[names.indexOf(aggregated.dimension)];
  const parameter = (at: number): string => `$${names.length + at}`;
  const lists = names.map((_, at) => `$${at + 1}::text[]`).join(", ");
  if (!storedOnly && !ignoreCase && named?.some((value) => aggregated?.to.includes(value))) {
    return {
      text: `select series_id, ${names.join(", ")}, aggregate
             from mds.find_${name}_answers(${lists}, ${parameter(1)}, ${parameter(2)}::text[])`,
      values: [...wanted, atMost, after === undefined ? null : names.map((one) => after.dimensions[one])],
    };
  }
  return {
    text: `select series_id, ${names.join(", ")}, null as aggregate
           from mds.find_${name}_series(${lists}, ${parameter(1)}, ${parameter(2)}, ${parameter(3)})`,
    values: [...wanted, ignoreCase, atMost, after?.id ?? null],
  };
}

/** @throws StoreError when a part of the query is wrong. */
export function windowOf(dataset: DatasetShape, query: WindowQuery<DatasetShape>): Window {
  const dimensions = dataset.dimensions.map(({ name }) => name);
  requireFields(`A query of ${dataset.name}`, query, [...dimensions, "start", "end", "limit", "newestFirst"]);
  const { start, end, limit = Number.MAX_SAFE_INTEGER, newestFirst = false } = query as Record<string, unknown>;
  if (!Number.isSafeInteger(limit) || (limit as number) < 0) {
    throw new StoreError("usage", `limit is ${showValue(limit)}; it must be a whole number of rows, 0 or more.`);
  }
  if (typeof newestFirst !== "boolean") {
    throw new StoreError("usage", `newestFirst is ${showValue(newestFirst)}; it must be true or false.`);
  }
  const startUs = start === undefined ? EARLIEST_TIME_US : timeOf("start", start);
  const endUs = end === undefined ? LATEST_WINDOW_MS * 1_000 : timeOf("end", end);
  return { startUs, endUs, limit: limit as number, newestFirst };
}

/** @throws StoreError when it is no time between 1900 and 2200. */
export function timeOf(name: string, time: unknown): number {
  return accepted(parseTime(name, time, undefined, LATEST_WINDOW_MS));
}

function choices(name: string, type: DimensionColumn["type"], given: unknown): string[] | null {
  if (given === undefined) return null;
  const list: unknown[] = Array.isArray(given) ? given : [given];
  return list.map((one) => accepted(parseDimension(name, type, one)));
}

/** @throws StoreError where it is a rejection. */
export function accepted<T extends string | number>(parsed: T | Rejection): T {
  if (typeof parsed === "object") throw new StoreError(parsed.code, parsed.message);
  return parsed;
}
