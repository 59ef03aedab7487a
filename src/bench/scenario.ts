/** What a scenario of the benchmark gets and what it gives back. */
import { openStore, type Store } from "../client/open-store.ts";
import { openTrustedLoad, type TrustedDataset } from "../client/trusted-load.ts";
import type { Connection } from "../database/pool.ts";
import { type BenchDatabase, CLIENT_APPLICATION } from "./bench-database.ts";

export interface BenchContext {
  readonly database: BenchDatabase;
  /** Bars to load. */
  readonly rows: number;
  /** Lines of the CSV file. */
  readonly csvRows: number;
  /** Rows of the month that retention drops. */
  readonly retentionRows: number;
  /** How many bars there are at each step of the growth, rising. */
  readonly growthRows: readonly number[];
  readonly signal: AbortSignal;
}

/** One line of a scenario's table; null where a figure could not be taken. Names end in the unit. */
export type Figure = Readonly<Record<string, string | number | null>>;

/** What was aimed at. */
export interface Target {
  readonly text: string;
  readonly met: boolean;
}

export interface ScenarioReport {
  readonly figures: readonly Figure[];
  readonly targets: readonly Target[];
  /** Whole sentences: what the figures cannot say, or why there are none. */
  readonly notes: readonly string[];
}

export interface Scenario {
  readonly name: string;
  /** What is measured, in one line. */
  readonly title: string;
  run(context: BenchContext): Promise<ScenarioReport>;
}

/** The repetitions of each measurement; the median of three is not moved by one disturbance. */
export const REPETITIONS = 3;
/** How many instruments the made-up market has. */
export const SYMBOLS = 500;
/** The one seed of all scenarios. */
export const SEED = 1;

function openBenchStore(context: BenchContext): Promise<Store> {
  return openStore({ url: context.database.url, applicationName: CLIENT_APPLICATION, signal: context.signal });
}

/** Some work with a store that is closed afterwards, its connections gone. */
export async function withBenchStore<T>(context: BenchContext, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openBenchStore(context);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** Some work with a trusted load of bars, its connections gone afterwards. */
export async function withTrustedBars<T>(
  context: BenchContext,
  work: (load: TrustedDataset) => Promise<T>,
): Promise<T> {
  const { url, adminUrl } = context.database;
  await using load = await openTrustedLoad({
    ...{ url, adminUrl, signal: context.signal },
    applicationName: CLIENT_APPLICATION,
  });
  return await work(load.dataset("bars"));
}

/** Drops the partitions with all that is in them. */
export async function dropBars(owner: Connection): Promise<void> {
  const { rows: engines } = await owner.query<{ engine: string }>("select mds.engine() as engine");
  if (engines[0]!.engine === "timescale") {
    await owner.query("select drop_chunks('store.bars_data', older_than => now() + interval '100 years')");
    return;
  }
  const { rows } = await owner.query<{ name: string }>("select partition_name as name from store.partitions('bars')");
  for (const { name } of rows) await owner.query(`drop table store.${name}`);
}

/** Brings the table and its statistics into a settled state, and writes out what is dirty. */
export async function settle(owner: Connection): Promise<void> {
  await owner.query("vacuum analyze store.bars_data");
  await checkpoint(owner);
}

/** Writes out what is dirty, lest it is done within what is measured next. */
export async function checkpoint(owner: Connection): Promise<void> {
  // Only some logins may ask for one; without it the next figures have a little more spread.
  await owner.query("checkpoint").catch(() => undefined);
}
