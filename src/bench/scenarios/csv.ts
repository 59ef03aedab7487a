/** A CSV file through `mds ingest`, in a process of its own whose memory is watched: it must not grow with the file. */
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { makeTemporaryFolder } from "../bench-database.ts";
import { hasCommand, NO_COMMAND, runCommand } from "../command-process.ts";
import { generateMarket } from "../generate-market.ts";
import { type BenchContext, dropBars, type Figure, type Scenario, SEED, SYMBOLS, settle } from "../scenario.ts";

/** Of the whole file, for comparison. */
const SMALL_PART = 10;
/** Memory may grow by so much from the small file to the whole one: a heap that fills up before it is collected. */
const GROWTH_BYTES = 100_000_000;

export const csv: Scenario = {
  name: "csv",
  title: "a CSV file through mds ingest, from the start of the process to its end",
  async run(context) {
    if (!hasCommand()) return NO_COMMAND;
    const folder = await makeTemporaryFolder();
    try {
      const small = await load(context, folder, Math.ceil(context.csvRows / SMALL_PART));
      const whole = await load(context, folder, context.csvRows);
      const grown = whole.peakBytes === null ? null : whole.peakBytes - (small.peakBytes ?? 0);
      return {
        figures: [small.figure, whole.figure],
        targets:
          grown === null
            ? []
            : [
                {
                  text: `constant memory: ${Math.round(grown / 1e6)} MB more for ${SMALL_PART} times as many lines`,
                  met: grown < GROWTH_BYTES,
                },
              ],
        notes: ["Memory is the peak of the command's process, the start of the runtime included."],
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function load(
  { database, signal }: BenchContext,
  folder: string,
  rows: number,
): Promise<{ readonly figure: Figure; readonly peakBytes: number | null }> {
  const file = join(folder, "bars.csv");
  await pipeline(csvText(rows), createWriteStream(file), { signal });
  await dropBars(database.owner);
  await settle(database.owner);
  const environment = { DATABASE_URL: database.url, MDS_TENANT_ID: "default" };
  const { ms, peakBytes } = await runCommand(["ingest", "bars", file], folder, environment, signal);
  const peak_mb = peakBytes === null ? null : Math.round(peakBytes / 1e6);
  return {
    figure: { lines: rows, seconds: ms / 1_000, rows_per_s: Math.round(rows / (ms / 1_000)), peak_mb },
    peakBytes,
  };
}

function* csvText(rows: number): Generator<string> {
  const market = { symbols: SYMBOLS, minutes: Math.ceil(rows / SYMBOLS), seed: SEED, order: "time" } as const;
  let left = rows;
  let names: readonly string[] | undefined;
  for (const bar of generateMarket(market)) {
    if (left-- === 0) return;
    if (names === undefined) {
      names = Object.keys(bar);
      yield `${names.join(",")}\n`;
    }
    const cells = Object.values(bar).map((cell) => (cell instanceof Date ? cell.toISOString() : String(cell ?? "")));
    yield `${cells.join(",")}\n`;
  }
}
