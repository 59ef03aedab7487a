/**
 * Which rows a read is about: its series, found by their dimensions, and a checked half-open window of time.
 */
import { withRetry } from "../database/retry.ts";
import { runInTenant, type TenantScope } from "../database/session.ts";
import type { DatasetShape, DimensionColumn, Rejection, TimeInput } from "../datasets/dataset.ts";
import { parseDimension } from "../datasets/derive/parse-column.ts";
import { EARLIEST_TIME_US, parseTime } from "../datasets/values/time.ts";
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

export interface FoundSeries<S extends DatasetShape> {
  readonly id: number;
  readonly dimensions: Series<S>;
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

/** The tenant's series that match, in the order of their dimensions. @throws StoreError `window_too_large`. */
export async function findSeries<S extends DatasetShape>(
  target: ReadTarget<S>,
  query: WindowQuery<S>,
  options: ReadOptions & { readonly ignoreCase?: boolean } = {},
): Promise<FoundSeries<S>[]> {
  const rows = await lookUp(target, query, { ...options, atMost: MAX_SERIES + 1 });
  if (rows.length > MAX_SERIES) {
    throw new StoreError("window_too_large", `More than ${MAX_SERIES} series match; name fewer of them.`);
  }
  return rows;
}

/** The same, however many there are, a hundred thousand at a time. */
export async function* seriesPages<S extends DatasetShape>(
  target: ReadTarget<S>,
  query: WindowQuery<S>,
  options: ReadOptions = {},
): AsyncGenerator<FoundSeries<S>[]> {
  let after: number | undefined;
  do {
    const page = await lookUp(target, query, { ...options, atMost: MAX_SERIES, after });
    after = page.length < MAX_SERIES ? undefined : page.at(-1)!.id;
    yield page;
  } while (after !== undefined);
}

interface LookUpOptions extends ReadOptions {
  readonly ignoreCase?: boolean;
  readonly atMost: number;
  /** Id of the series behind which the next ones are. */
  readonly after?: number | undefined;
}

async function lookUp<S extends DatasetShape>(
  { scope, dataset }: ReadTarget<S>,
  query: WindowQuery<S>,
  { ignoreCase = false, atMost, after, signal }: LookUpOptions,
): Promise<FoundSeries<S>[]> {
  const names = dataset.dimensions.map((dimension) => dimension.name);
  const wanted = dataset.dimensions.map(({ name, type }) =>
    choices(name, type, (query as Record<string, unknown>)[name]),
  );
  const parameters = names.map((_, at) => `$${at + 1}::text[]`).join(", ");
  const statement = {
    text: `select series_id, ${names.join(", ")}
           from mds.find_${dataset.name}_series(${parameters}, $${names.length + 1}, $${names.length + 2}, $${names.length + 3})`,
    values: [...wanted, ignoreCase, atMost, after ?? null],
  };
  const rows = await withRetry(
    () => runInTenant<{ series_id: number } & Record<string, string>>(scope, statement, signal),
    signal,
  );
  return rows.map(({ series_id, ...dimensions }) => ({ id: series_id, dimensions: dimensions as Series<S> }));
}

/** @throws StoreError when a part of the query is wrong. */
export function windowOf(dataset: DatasetShape, query: WindowQuery<DatasetShape>): Window {
  const {
    start,
    end,
    limit = Number.MAX_SAFE_INTEGER,
    newestFirst = false,
    ...others
  } = query as Record<string, unknown>;
  const known = new Set(dataset.dimensions.map((dimension) => dimension.name));
  for (const name of Object.keys(others)) {
    if (!known.has(name))
      throw new StoreError(
        "usage",
        `A query of ${dataset.name} has no "${name}"; it has ${[...known].join(", ")}, start, end, limit and newestFirst.`,
      );
  }
  if (!Number.isSafeInteger(limit) || (limit as number) < 0) {
    throw new StoreError("usage", `limit is ${String(limit)}; it must be a whole number of rows, 0 or more.`);
  }
  const startUs = start === undefined ? EARLIEST_TIME_US : timeOf("start", start);
  const endUs = end === undefined ? LATEST_WINDOW_MS * 1_000 : timeOf("end", end);
  return { startUs, endUs, limit: limit as number, newestFirst: newestFirst === true };
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
