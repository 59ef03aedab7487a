/**
 * Bars to files and back through the command, each time a process of its own from its start to its end, and beside the
 * way back the upsert of the same rows by the library. The repetitions of all are interleaved.
 */
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Store } from "../../client/open-store.ts";
import { BarColumns } from "../bar-columns.ts";
import { makeTemporaryFolder } from "../bench-database.ts";
import { hasCommand, NO_COMMAND, runCommand } from "../command-process.ts";
import { generateMarket } from "../generate-market.ts";
import { goOn, median, spread } from "../measure.ts";
import {
  type BenchContext,
  dropBars,
  type Figure,
  REPETITIONS,
  type Scenario,
  SEED,
  SYMBOLS,
  settle,
  type Target,
  withBenchStore,
} from "../scenario.ts";

const GZIP = "bars.ndjson.gz";
const CSV = "bars.csv";
const FILES = [GZIP, CSV, "bars.ndjson.zst"] as const;
/** What was asked for. */
const DUMP_TARGETS: Readonly<Record<string, number>> = { [GZIP]: 150_000, [CSV]: 250_000 };
const RESTORE_TARGET = 0.7;

interface Run {
  readonly ms: number;
  readonly peakBytes: number | null;
}

/** Everything that was measured, by what was done. */
type Runs = Map<string, Run[]>;

export const dump: Scenario = {
  name: "dump",
  title: "mds dump and mds restore of bars, and the upsert of the same rows by the library",
  async run(context) {
    if (!hasCommand()) return NO_COMMAND;
    const folder = await makeTemporaryFolder();
    try {
      return await withBenchStore(context, (store) => measureAll(context, store, folder));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measureAll(context: BenchContext, store: Store, folder: string) {
  const { owner, url } = context.database;
  const minutes = Math.ceil(context.rows / SYMBOLS);
  const bars = new BarColumns(generateMarket({ symbols: SYMBOLS, minutes, seed: SEED }), minutes * SYMBOLS);
  await dropBars(owner);
  await store.bars.upsert(bars, { signal: context.signal });
  const environment = { DATABASE_URL: url, MDS_TENANT_ID: "default" };
  const runs: Runs = new Map();
  const take = async (name: string, work: () => Promise<Run>): Promise<void> => {
    goOn(context.signal);
    await settle(owner);
    runs.set(name, [...(runs.get(name) ?? []), await work()]);
  };
  const command = (...args: string[]) => runCommand(args, folder, environment, context.signal);
  for (let round = 0; round < REPETITIONS; round++) {
    for (const file of FILES) await take(`dump ${file}`, () => command("dump", "bars", file));
    await owner.query("truncate store.bars_data");
    await take(UPSERT, () => timed(() => store.bars.upsert(bars, { signal: context.signal })));
    for (const file of FILES) {
      await owner.query("truncate store.bars_data");
      await take(`restore ${file}`, () => command("restore", "bars", file));
    }
  }
  return {
    figures: await figuresOf(runs, bars.length, folder),
    targets: targetsOf(runs, bars.length),
    notes: ["Times and memory of dump and restore are those of their processes, the start of the runtime included."],
  };
}

const UPSERT = "upsert by the library";

async function timed(work: () => Promise<unknown>): Promise<Run> {
  const startedAt = performance.now();
  await work();
  return { ms: performance.now() - startedAt, peakBytes: null };
}

function rowsPerSecond(runs: Runs, name: string, rows: number): number {
  return rows / (median(runs.get(name)!.map(({ ms }) => ms)) / 1_000);
}

/** Each repetition against the upsert of its own round. */
function ofUpsert(runs: Runs, name: string): number {
  const upserts = runs.get(UPSERT)!;
  return median(runs.get(name)!.map(({ ms }, round) => upserts[round]!.ms / ms));
}

async function figuresOf(runs: Runs, rows: number, folder: string): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [name, list] of runs) {
    const file = FILES.find((each) => name.endsWith(` ${each}`));
    const peaks = list.flatMap(({ peakBytes }) => peakBytes ?? []);
    figures.push({
      run: name,
      rows_per_s: Math.round(rowsPerSecond(runs, name, rows)),
      of_upsert: name.startsWith("restore") ? ofUpsert(runs, name) : null,
      spread: spread(list.map(({ ms }) => ms)),
      file_mb: file === undefined ? null : (await stat(join(folder, file))).size / 1e6,
      peak_mb: peaks.length === 0 ? null : Math.max(...peaks) / 1e6,
    });
  }
  return figures;
}

function targetsOf(runs: Runs, rows: number): Target[] {
  const thousands = (count: number): string => `${Math.round(count / 1_000)} k rows/s`;
  const dumps = Object.entries(DUMP_TARGETS).map(([file, aim]) => {
    const reached = rowsPerSecond(runs, `dump ${file}`, rows);
    return { text: `dump to ${file} at ${thousands(aim)} or more: ${thousands(reached)}`, met: reached >= aim };
  });
  const restores = FILES.map((file) => {
    const part = ofUpsert(runs, `restore ${file}`);
    const percent = (share: number): string => `${Math.round(share * 100)} %`;
    const text = `restore of ${file} at ${percent(RESTORE_TARGET)} of the upsert or more: ${percent(part)}`;
    return { text, met: part >= RESTORE_TARGET };
  });
  return [...dumps, ...restores];
}
