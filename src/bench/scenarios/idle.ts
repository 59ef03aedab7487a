/** What the service costs while nobody asks it for anything: processor time and memory of its process. */
import { rm } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { makeTemporaryFolder } from "../bench-database.ts";
import { type CommandForm, commandForms, hasCommand, NO_COMMAND } from "../command-process.ts";
import { goOn } from "../measure.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { startServiceProcess } from "../service-process.ts";

/** What the start leaves to the collector and to timers is done by then. */
const SETTLE_MS = 5_000;
/** The jobs of every minute are among it. */
const IDLE_MS = 65_000;
const TARGET_MB = 90;
const TARGET_PERCENT = 1;

export const idle: Scenario = {
  name: "idle",
  title: "the service with its database while nothing happens",
  async run(context) {
    if (!hasCommand()) return NO_COMMAND;
    const folder = await makeTemporaryFolder();
    try {
      const watched: Awaited<ReturnType<typeof watch>>[] = [];
      for (const form of await commandForms(folder)) watched.push(await watch(context, folder, form));
      return {
        figures: watched.map(({ figure }) => figure),
        targets: watched.flatMap(({ targets }) => targets),
        notes: [
          "A package and the image are `built`; in a clone that is what `npm run build` made last, if anything.",
          "Each was started once before. `settled_mb` is 5 s after it was ready, `resident_mb` at the end.",
        ],
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function watch({ database, signal }: BenchContext, folder: string, { form, path }: CommandForm) {
  const environment = { DATABASE_URL: database.url, ADMIN_DATABASE_URL: database.adminUrl };
  // A first start fills the compile cache, with what sources are made into in memory.
  const first = await startServiceProcess(folder, environment, path);
  try {
    await first.untilReady(signal);
  } finally {
    await first.stop();
  }
  const service = await startServiceProcess(folder, environment, path);
  try {
    await service.untilReady(signal);
    await pause(SETTLE_MS, signal);
    const settled_mb = inMb(await service.residentBytes());
    const before = await service.processorMs();
    await pause(IDLE_MS, signal);
    const after = await service.processorMs();
    const resident_mb = inMb(await service.residentBytes());
    const cpu_percent = before === null || after === null ? null : ((after - before) / IDLE_MS) * 100;
    return {
      figure: { form, seconds: IDLE_MS / 1_000, cpu_percent, settled_mb, resident_mb },
      targets: [
        ...below(`${form}: resident memory`, resident_mb, TARGET_MB, "MB"),
        ...below(`${form}: processor time`, cpu_percent, TARGET_PERCENT, "%"),
      ],
    };
  } finally {
    await service.stop();
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => undefined);
  goOn(signal);
}

function inMb(bytes: number | null): number | null {
  return bytes === null ? null : bytes / 1e6;
}

function below(what: string, value: number | null, limit: number, unit: string) {
  return value === null
    ? []
    : [{ text: `${what} under ${limit} ${unit}: ${value.toFixed(1)} ${unit}`, met: value < limit }];
}
