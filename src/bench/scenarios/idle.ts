/** What the service costs while nobody asks it for anything: processor time and memory of its process. */
import { rm } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { makeTemporaryFolder } from "../bench-database.ts";
import { hasCommand, NO_COMMAND } from "../command-process.ts";
import { goOn } from "../measure.ts";
import type { BenchContext, Scenario, ScenarioReport } from "../scenario.ts";
import { startServiceProcess } from "../service-process.ts";

/** What the start leaves to the collector and to timers is done by then. */
const SETTLE_MS = 5_000;
/** Several of each of its periodic checks. */
const IDLE_MS = 20_000;
const TARGET_MB = 90;
const TARGET_PERCENT = 1;

export const idle: Scenario = {
  name: "idle",
  title: "the service with its database while nothing happens",
  async run(context) {
    if (!hasCommand()) return NO_COMMAND;
    const folder = await makeTemporaryFolder();
    try {
      return await watch(context, folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function watch({ database, signal }: BenchContext, folder: string): Promise<ScenarioReport> {
  const { url, adminUrl } = database;
  const service = await startServiceProcess(folder, { DATABASE_URL: url, ADMIN_DATABASE_URL: adminUrl });
  try {
    await service.untilReady(signal);
    await pause(SETTLE_MS, signal);
    const before = await service.processorMs();
    await pause(IDLE_MS, signal);
    const after = await service.processorMs();
    const resident = await service.residentBytes();
    const cpu_percent = before === null || after === null ? null : ((after - before) / IDLE_MS) * 100;
    const resident_mb = resident === null ? null : resident / 1e6;
    return {
      figures: [{ seconds: IDLE_MS / 1_000, cpu_percent, resident_mb }],
      targets: [
        ...below("resident memory", resident_mb, TARGET_MB, "MB"),
        ...below("processor time", cpu_percent, TARGET_PERCENT, "%"),
      ],
      notes: [],
    };
  } finally {
    await service.stop();
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => undefined);
  goOn(signal);
}

function below(what: string, value: number | null, limit: number, unit: string) {
  return value === null
    ? []
    : [{ text: `${what} under ${limit} ${unit}: ${value.toFixed(1)} ${unit}`, met: value < limit }];
}
