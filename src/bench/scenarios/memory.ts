/** The most memory that the command's processes take for a load and for ten times as much: it should not follow the load. */
import { rm } from "node:fs/promises";
import { makeBars } from "../bar-load.ts";
import { makeTemporaryFolder } from "../bench-database.ts";
import { hasCommand, NO_COMMAND, runCommand } from "../command-process.ts";
import { type BenchContext, dropBars, type Figure, type Scenario, withBenchStore } from "../scenario.ts";

const PARTS = [10, 1] as const;
const FILE = "bars.ndjson";
/** What the collector leaves lying longer when there is more to do. */
const TARGET_GROWTH_MB = 100;

export const memory: Scenario = {
  name: "memory",
  title: "peak memory of the command's processes for a load and for ten times as much",
  async run(context) {
    if (!hasCommand()) return NO_COMMAND;
    const folder = await makeTemporaryFolder();
    try {
      const figures: Figure[] = [];
      for (const part of PARTS) figures.push(...(await peaks(context, folder, Math.ceil(context.rows / part))));
      const runs = [...new Set(figures.map(({ run }) => run as string))];
      return {
        figures,
        targets: runs.flatMap((run) => growthTarget(run, figures)),
        notes: ["The start of the runtime is included."],
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function peaks(context: BenchContext, folder: string, rows: number): Promise<Figure[]> {
  const { database, signal } = context;
  const environment = { DATABASE_URL: database.url, MDS_TENANT_ID: "default" };
  await dropBars(database.owner);
  await withBenchStore(context, (store) => store.bars.upsert(makeBars(rows), { signal }));
  const figures: Figure[] = [];
  const take = async (run: string, ...args: string[]): Promise<void> => {
    const { ms, peakBytes } = await runCommand(args, folder, environment, signal);
    figures.push({ run, rows, seconds: ms / 1_000, peak_mb: peakBytes === null ? null : peakBytes / 1e6 });
  };
  await rm(`${folder}/${FILE}`, { force: true });
  await take("dump", "dump", "bars", FILE);
  await database.owner.query("truncate store.bars_data");
  await take("restore", "restore", "bars", FILE);
  await take("replay", "ingest", "bars", FILE);
  return figures;
}

function growthTarget(run: string, figures: readonly Figure[]) {
  const [small, large] = figures
    .filter((figure) => figure["run"] === run)
    .map(({ peak_mb }) => peak_mb as number | null);
  if (small == null || large == null) return [];
  const grown = Math.round(large - small);
  return [
    {
      text: `${run}: at most ${TARGET_GROWTH_MB} MB more for ten times the rows: ${grown} MB`,
      met: grown <= TARGET_GROWTH_MB,
    },
  ];
}
