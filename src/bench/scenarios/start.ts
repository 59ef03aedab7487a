/** From the start of the process until the service is ready, and what memory it then takes. */
import { rm } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { makeTemporaryFolder } from "../bench-database.ts";
import { hasCommand, NO_COMMAND } from "../command-process.ts";
import { goOn, median, spread } from "../measure.ts";
import { type BenchContext, type Figure, REPETITIONS, type Scenario } from "../scenario.ts";
import { startServiceProcess } from "../service-process.ts";

/** A service that has checked its health a few times is idle. */
const IDLE_AFTER_MS = 2_500;
const TARGET_MS = { "there, migrated": 500, "embedded, made from nothing": 4_000 } as const;

type Kind = keyof typeof TARGET_MS;

interface Start {
  readonly readyMs: number;
  readonly residentBytes: number | null;
}

export const start: Scenario = {
  name: "start",
  title: "start of the service until it is ready",
  async run(context) {
    if (!hasCommand()) return NO_COMMAND;
    const { url, adminUrl } = context.database;
    const environments: Readonly<Record<Kind, (folder: string) => Record<string, string>>> = {
      "there, migrated": () => ({ DATABASE_URL: url, ADMIN_DATABASE_URL: adminUrl }),
      "embedded, made from nothing": (folder) => ({ MDS_DATA_DIR: folder }),
    };
    const kinds = Object.keys(environments) as Kind[];
    const starts = new Map<Kind, Start[]>(kinds.map((kind) => [kind, []]));
    for (let round = 0; round < REPETITIONS; round++) {
      for (const kind of kinds) starts.get(kind)!.push(await startOnce(context, environments[kind]));
    }
    return {
      figures: kinds.map((kind) => figureOf(kind, starts.get(kind)!)),
      targets: kinds.map((kind) => {
        const readyMs = median(starts.get(kind)!.map((one) => one.readyMs));
        return {
          text: `database ${kind}: ready in less than ${TARGET_MS[kind] / 1_000} s: ${(readyMs / 1_000).toFixed(2)} s`,
          met: readyMs < TARGET_MS[kind],
        };
      }),
      notes: ["Memory is that of the service's process alone, idle, without the database's."],
    };
  },
};

async function startOnce(
  context: BenchContext,
  environment: (folder: string) => Record<string, string>,
): Promise<Start> {
  goOn(context.signal);
  const folder = await makeTemporaryFolder();
  try {
    const service = await startServiceProcess(folder, environment(folder));
    try {
      const readyMs = await service.untilReady(context.signal);
      await wait(IDLE_AFTER_MS, undefined, { signal: context.signal });
      return { readyMs, residentBytes: await service.residentBytes() };
    } finally {
      await service.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function figureOf(kind: Kind, starts: readonly Start[]): Figure {
  const times = starts.map(({ readyMs }) => readyMs);
  const memory = starts.flatMap(({ residentBytes }) => residentBytes ?? []);
  const resident_mb = memory.length === 0 ? null : Math.round(median(memory) / 1e6);
  return { database: kind, ready_ms: median(times), spread: spread(times), resident_mb };
}
