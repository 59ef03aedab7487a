/**
 * The benchmark: the store's speed beside what the server can do at all, on a database of its own that is gone
 * afterwards. Ratios hold from machine to machine, seconds do not.
 */
import { cpus, loadavg, release, totalmem, type } from "node:os";
import { requirePostgresUrl } from "../client/postgres-url.ts";
import { packageVersion } from "../config/version.ts";
import type { Connection } from "../database/pool.ts";
import { StoreError } from "../errors/store-error.ts";
import { openBenchDatabase } from "./bench-database.ts";
import { goOn } from "./measure.ts";
import { headText, scenarioText } from "./report.ts";
import type { Scenario, ScenarioReport } from "./scenario.ts";
import { aggregates } from "./scenarios/aggregates.ts";
import { arrow } from "./scenarios/arrow.ts";
import { chain } from "./scenarios/chain.ts";
import { changes } from "./scenarios/changes.ts";
import { columnstore } from "./scenarios/columnstore.ts";
import { coordinator } from "./scenarios/coordinator.ts";
import { csv } from "./scenarios/csv.ts";
import { datasets } from "./scenarios/datasets.ts";
import { dump } from "./scenarios/dump.ts";
import { growth } from "./scenarios/growth.ts";
import { health } from "./scenarios/health.ts";
import { httpIngest } from "./scenarios/http-ingest.ts";
import { idle } from "./scenarios/idle.ts";
import { ingest } from "./scenarios/ingest.ts";
import { jobs } from "./scenarios/jobs.ts";
import { latest } from "./scenarios/latest.ts";
import { memory } from "./scenarios/memory.ts";
import { pulse } from "./scenarios/pulse.ts";
import { recovery } from "./scenarios/recovery.ts";
import { replay } from "./scenarios/replay.ts";
import { retention } from "./scenarios/retention.ts";
import { rollup } from "./scenarios/rollup.ts";
import { spool } from "./scenarios/spool.ts";
import { start } from "./scenarios/start.ts";
import { storage } from "./scenarios/storage.ts";
import { tuning } from "./scenarios/tuning.ts";
import { window } from "./scenarios/window.ts";

export interface BenchOptions {
  /** The server on which the benchmark makes a database of its own; an embedded one unless given. */
  readonly url?: string | undefined;
  /** A login there that may make databases; `url` unless given. */
  readonly adminUrl?: string | undefined;
  /** Bars to load, 1,000 to 5,000,000; one million unless given. */
  readonly rows?: number | undefined;
  /** Lines of the CSV file, 1,000 to 50,000,000; one million unless given. */
  readonly csvRows?: number | undefined;
  /** Rows of the month that is dropped, 1,000 to 200,000,000; one million unless given. */
  readonly retentionRows?: number | undefined;
  /** Bars at each step of the growth, rising, 1,000 to 400,000,000; 200,000 and two millions unless given. */
  readonly growthRows?: readonly number[] | undefined;
  /** Names of scenarios; all unless given. */
  readonly only?: readonly string[] | undefined;
  /** One JSON document at the end, in place of tables. */
  readonly json: boolean;
  readonly write: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface BenchReport {
  /** When it began, ISO 8601. */
  readonly measured_at: string;
  readonly version: string;
  readonly rows: number;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memory_gib: number;
    readonly system: string;
    readonly node: string;
    /** Of the minute before the start: what else the machine was doing. */
    readonly load_average: number;
  };
  readonly database: {
    readonly version: string;
    readonly kind: "embedded" | "given";
    readonly settings: Readonly<Record<string, string>>;
  };
  readonly scenarios: Readonly<Record<string, TitledReport>>;
}

/** One scenario and what it measures, in one line. */
export interface TitledReport extends ScenarioReport {
  readonly title: string;
}

const SCENARIOS: readonly Scenario[] = [
  ingest,
  changes,
  datasets,
  replay,
  window,
  arrow,
  latest,
  chain,
  aggregates,
  rollup,
  httpIngest,
  csv,
  dump,
  storage,
  retention,
  growth,
  spool,
  recovery,
  columnstore,
  coordinator,
  pulse,
  health,
  jobs,
  start,
  idle,
  memory,
  tuning,
];
export const SCENARIO_NAMES: readonly string[] = SCENARIOS.map(({ name }) => name);

const DEFAULT_ROWS = 1_000_000;
const MIN_ROWS = 1_000;
/** All rows are held in memory, as columns, in halves, and encoded: about 300 bytes each. */
const MAX_ROWS = 5_000_000;
/** About 5 GB of file. */
const MAX_CSV_ROWS = 50_000_000;
/** About 25 GB of table. */
const MAX_RETENTION_ROWS = 200_000_000;

/** The months that they fill reach back to 2020, and the disk has to hold about 60 GB. */
const MAX_GROWTH_ROWS = 400_000_000;
const DEFAULT_GROWTH_ROWS = [200_000, 2_000_000];

/** What a figure may depend on. */
const SETTINGS = [
  "shared_buffers",
  "fsync",
  "synchronous_commit",
  "full_page_writes",
  "data_checksums",
  "wal_level",
  "max_wal_size",
  "jit",
];

/**
 * Runs the scenarios one after another.
 *
 * @throws StoreError `usage`, `aborted`, `embedded_missing`, `database_unavailable` and what else a database may say.
 */
export async function runBench(options: BenchOptions): Promise<BenchReport> {
  const { rows = DEFAULT_ROWS, csvRows = DEFAULT_ROWS, retentionRows = DEFAULT_ROWS, json, write } = options;
  const { growthRows = DEFAULT_GROWTH_ROWS } = options;
  refuseOutside("rows", rows, MAX_ROWS);
  refuseOutside("csvRows", csvRows, MAX_CSV_ROWS);
  refuseOutside("retentionRows", retentionRows, MAX_RETENTION_ROWS);
  for (const size of growthRows) refuseOutside("growthRows", size, MAX_GROWTH_ROWS);
  if (options.url !== undefined) requirePostgresUrl("url", options.url);
  if (options.adminUrl !== undefined) requirePostgresUrl("adminUrl", options.adminUrl);
  const chosen = chooseScenarios(options.only);
  const signal = options.signal ?? new AbortController().signal;
  const measured_at = new Date().toISOString();
  const machine = describeMachine();
  const database = await openBenchDatabase(options);
  try {
    const described = await describeDatabase(database.owner, database.isEmbedded);
    if (!json) write(headText({ machine, database: described }));
    const scenarios: Record<string, TitledReport> = {};
    for (const scenario of chosen) {
      goOn(signal);
      const { name, title } = scenario;
      const report = await scenario.run({ database, rows, csvRows, retentionRows, growthRows, signal });
      scenarios[name] = { title, ...report };
      if (!json) write(scenarioText(name, title, report));
    }
    const report = { measured_at, version: packageVersion(), rows, machine, database: described, scenarios };
    if (json) write(`${JSON.stringify(report, undefined, 2)}\n`);
    return report;
  } finally {
    await database.close();
  }
}

function refuseOutside(name: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= MIN_ROWS && value <= max) return;
  throw new StoreError("usage", `${name} is ${value}; it must be a whole number from ${MIN_ROWS} to ${max}.`);
}

function chooseScenarios(only: readonly string[] | undefined): readonly Scenario[] {
  const unknown = only?.find((name) => !SCENARIO_NAMES.includes(name));
  if (unknown !== undefined) {
    throw new StoreError("usage", `There is no scenario "${unknown}"; these are: ${SCENARIO_NAMES.join(", ")}.`);
  }
  return SCENARIOS.filter(({ name }) => only === undefined || only.includes(name));
}

function describeMachine(): BenchReport["machine"] {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? "unknown processor",
    cores: processors.length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    load_average: Math.round(loadavg()[0]! * 100) / 100,
  };
}

async function describeDatabase(owner: Connection, isEmbedded: boolean): Promise<BenchReport["database"]> {
  const { rows } = await owner.query<{ name: string; setting: string }>(
    `select name, current_setting(name) as setting from pg_settings
     where name = any ($1) or name = 'server_version' order by array_position($1, name)`,
    [SETTINGS],
  );
  const settings = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
  const { server_version = "unknown", ...others } = settings;
  return { version: server_version, kind: isEmbedded ? "embedded" : "given", settings: others };
}
