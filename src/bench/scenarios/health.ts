/** Requests for `/health` that one process of the service answers, with its database and without. */
import { rm } from "node:fs/promises";
import { makeTemporaryFolder } from "../bench-database.ts";
import { hasCommand } from "../command-process.ts";
import { goOn } from "../measure.ts";
import type { BenchContext, Figure, Scenario, ScenarioReport } from "../scenario.ts";
import { startServiceProcess } from "../service-process.ts";

const CONNECTIONS = 20;
const SECONDS = 5;
const TARGET_REQUESTS_PER_S = 20_000;
/** Nothing listens on port 1. */
const CLOSED = "postgresql://nobody:nothing@127.0.0.1:1/none";

type Autocannon = typeof import("autocannon");

export const health: Scenario = {
  name: "health",
  title: "requests for /health that one process answers",
  async run(context) {
    const autocannon = await loadAutocannon();
    if (autocannon === undefined || !hasCommand()) {
      const missing = autocannon === undefined ? "autocannon, a development dependency," : "The command bin/mds.js";
      return { figures: [], targets: [], notes: [`Not measured: ${missing} is not installed here.`] };
    }
    const { url, adminUrl } = context.database;
    return report([
      await load(context, autocannon, "up", { DATABASE_URL: url, ADMIN_DATABASE_URL: adminUrl }),
      await load(context, autocannon, "down", { DATABASE_URL: CLOSED }),
    ]);
  },
};

async function loadAutocannon(): Promise<Autocannon | undefined> {
  try {
    return (await import("autocannon")).default;
  } catch {
    return undefined;
  }
}

async function load(
  { signal }: BenchContext,
  autocannon: Autocannon,
  database: "up" | "down",
  environment: Readonly<Record<string, string>>,
): Promise<Figure> {
  goOn(signal);
  const folder = await makeTemporaryFolder();
  try {
    const service = await startServiceProcess(folder, environment);
    try {
      if (database === "up") await service.untilReady(signal);
      const run = autocannon({ url: `${service.url}/health`, connections: CONNECTIONS, duration: SECONDS });
      const stop = (): void => run.stop();
      signal.addEventListener("abort", stop, { once: true });
      const { requests, latency, errors, non2xx } = await run;
      signal.removeEventListener("abort", stop);
      goOn(signal);
      return { database, requests_per_s: Math.round(requests.average), p99_ms: latency.p99, failed: errors + non2xx };
    } finally {
      await service.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function report(figures: readonly Figure[]): ScenarioReport {
  const targets = figures.map(({ database, requests_per_s, failed }) => ({
    text: `more than ${TARGET_REQUESTS_PER_S} requests a second with the database ${database}: ${requests_per_s}`,
    met: (requests_per_s as number) > TARGET_REQUESTS_PER_S && failed === 0,
  }));
  const notes = [`${CONNECTIONS} connections for ${SECONDS} s each; the process that asks takes a core of its own.`];
  return { figures, targets, notes };
}
