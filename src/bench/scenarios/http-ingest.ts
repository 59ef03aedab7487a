/**
 * Rows over HTTP into a real service: how fast they are durable in the spool, how fast they are in the database, and what
 * that costs the service. The process that sends is this one; the bodies are made before.
 */
import { rm } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { createIngestToken } from "../../database/ingest-tokens.ts";
import { openPool } from "../../database/pool.ts";
import { StoreError } from "../../errors/store-error.ts";
import { askService } from "../ask-service.ts";
import { makeTemporaryFolder } from "../bench-database.ts";
import { hasCommand, NO_COMMAND } from "../command-process.ts";
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
} from "../scenario.ts";
import { type ServiceProcess, startServiceProcess } from "../service-process.ts";

interface Case {
  readonly body: string;
  readonly rowsPerBody: number;
  readonly senders: number;
  readonly gzip?: true;
}

const CASES: readonly Case[] = [
  { body: "10,000 rows", rowsPerBody: 10_000, senders: 4 },
  { body: "10,000 rows, one sender", rowsPerBody: 10_000, senders: 1 },
  { body: "10,000 rows, gzip", rowsPerBody: 10_000, senders: 4, gzip: true },
  { body: "500 rows", rowsPerBody: 500, senders: 8 },
];
const TARGET_ROWS_PER_S = 100_000;
/** How closely the end of storing is told. */
const POLL_MS = 20;

interface Run {
  readonly acceptedMs: number;
  readonly storedMs: number;
  readonly serviceCpuMs: number;
}

export const httpIngest: Scenario = {
  name: "http-ingest",
  title: "rows sent to POST /v1/bars",
  async run(context) {
    if (!hasCommand()) return NO_COMMAND;
    const lines = barLines(context.rows);
    const runs = new Map(CASES.map((one) => [one, [] as Run[]]));
    for (let round = 0; round < REPETITIONS; round++) {
      for (const one of CASES) runs.get(one)!.push(await runCase(context, bodiesOf(one, lines), one.senders));
    }
    const figures = CASES.map((one) => figureOf(one, context.rows, runs.get(one)!));
    const best = Math.max(...figures.map((figure) => Number(figure["accepted_rows_per_s"])));
    return {
      figures,
      targets: [{ text: `${TARGET_ROWS_PER_S} rows/s accepted over HTTP: ${best}`, met: best >= TARGET_ROWS_PER_S }],
      notes: [
        "Accepted rows are fsynced; the database stores them at the same time, on the same machine. While it is slower than " +
          "the senders, they are made to wait for it. service_us_per_row is processor time of the service, storing included.",
      ],
    };
  },
};

function barLines(rows: number): string[] {
  const minutes = Math.ceil(rows / SYMBOLS);
  const lines: string[] = [];
  for (const bar of generateMarket({ symbols: SYMBOLS, minutes, seed: SEED, order: "time" })) {
    if (lines.push(`${JSON.stringify(bar)}\n`) === rows) break;
  }
  return lines;
}

function bodiesOf({ rowsPerBody, gzip }: Case, lines: readonly string[]): Buffer[] {
  const bodies: Buffer[] = [];
  for (let at = 0; at < lines.length; at += rowsPerBody) {
    const body = Buffer.from(lines.slice(at, at + rowsPerBody).join(""));
    bodies.push(gzip ? gzipSync(body) : body);
  }
  return bodies;
}

async function runCase(context: BenchContext, bodies: readonly Buffer[], senders: number): Promise<Run> {
  const { url, adminUrl, owner } = context.database;
  goOn(context.signal);
  await dropBars(owner);
  await settle(owner);
  const folder = await makeTemporaryFolder();
  try {
    const token = await makeToken(adminUrl);
    const environment = { DATABASE_URL: url, ADMIN_DATABASE_URL: adminUrl, MDS_DATA_DIR: folder };
    const service = await startServiceProcess(folder, environment);
    try {
      await service.untilReady(context.signal);
      return await load(context, service, token, bodies, senders);
    } finally {
      await service.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeToken(url: string): Promise<string> {
  const pool = openPool({ url, applicationName: "mds bench", maxConnections: 1, connectTimeoutMs: 5_000 });
  try {
    return (await createIngestToken({ pool, timeoutMs: 5_000 }, "default", "bench")).token;
  } finally {
    await pool.end();
  }
}

async function load(
  { signal }: BenchContext,
  { url }: ServiceProcess,
  token: string,
  bodies: readonly Buffer[],
  senders: number,
): Promise<Run> {
  const cpuBefore = await gauge(url, signal, "process_cpu_seconds_total");
  const startedAt = performance.now();
  let next = 0;
  const sender = async (): Promise<void> => {
    for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) {
      goOn(signal);
      await send(`${url}/v1/bars`, signal, token, body);
    }
  };
  await Promise.all(Array.from({ length: senders }, sender));
  const acceptedMs = performance.now() - startedAt;
  // A scrape is kept for a second, so the first may still tell of before.
  while ((await gauge(url, signal, "mds_spool_records")) > 0) {
    goOn(signal);
    await wait(POLL_MS);
  }
  const storedMs = performance.now() - startedAt;
  await wait(1_000);
  const serviceCpuMs = ((await gauge(url, signal, "process_cpu_seconds_total")) - cpuBefore) * 1_000;
  return { acceptedMs, storedMs, serviceCpuMs };
}

async function send(url: string, signal: AbortSignal, token: string, body: Buffer): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const { status, text } = await askService(url, signal, { method: "POST", headers, body });
  if (status === 202) return;
  throw new StoreError("internal", `The service of the benchmark did not accept its rows: ${status} ${text}`);
}

async function gauge(url: string, signal: AbortSignal, name: string): Promise<number> {
  const { text } = await askService(`${url}/metrics`, signal);
  return Number(new RegExp(`^${name} (.+)$`, "m").exec(text)?.[1] ?? Number.NaN);
}

function figureOf({ body, senders }: Case, rows: number, runs: readonly Run[]): Figure {
  const perSecond = (of: (run: Run) => number): number => Math.round(rows / (median(runs.map(of)) / 1_000));
  return {
    body,
    senders,
    accepted_rows_per_s: perSecond((run) => run.acceptedMs),
    spread: spread(runs.map((run) => run.acceptedMs)),
    stored_rows_per_s: perSecond((run) => run.storedMs),
    service_us_per_row: Number(((1_000 * median(runs.map((run) => run.serviceCpuMs))) / rows).toFixed(1)),
  };
}
