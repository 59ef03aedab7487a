/** The service with ingestion, in this process, on a database; and rows sent to it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { createIngestToken } from "../../src/database/ingest-tokens.ts";
import { openPool } from "../../src/database/pool.ts";
import { StoreDatabase } from "../../src/database/store-database.ts";
import { createTenant } from "../../src/database/tenants.ts";
import type { Clock } from "../../src/resilience/clock.ts";
import { createIngest } from "../../src/service/create-ingest.ts";
import type { Acceptance } from "../../src/service/row-intake.ts";
import { startService } from "../../src/service/server.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { StoreMetrics } from "../../src/telemetry/metrics.ts";
import type { TestDatabase } from "./test-database.ts";

interface IngestAnswer extends Acceptance {
  readonly status: number;
  readonly headers: Headers;
  /** Of a problem. */
  readonly code?: string;
  readonly detail?: string;
}

export interface IngestService {
  readonly url: string;
  /** Its data folder. */
  readonly folder: string;
  /** Lines of the log. */
  readonly lines: string[];
  /** A stream is sent in chunks, without a length. */
  send(
    dataset: string,
    body: string | Buffer | ReadableStream<Uint8Array>,
    options?: { readonly token?: string; readonly headers?: Readonly<Record<string, string>> },
  ): Promise<IngestAnswer>;
  metrics(): Promise<string>;
  stop(): Promise<void>;
}

/** A data folder that is removed by `removeDataFolder`. */
export function makeDataFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "mds-ingest-"));
}

export function removeDataFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}

export async function startIngestService(options: {
  readonly url: string;
  readonly folder: string;
  readonly token: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Of the coordinator. */
  readonly clock?: Clock;
}): Promise<IngestService> {
  const { folder, env, clock } = options;
  const lines: string[] = [];
  const log = createLogger({ level: "info", stream: { write: (line) => void lines.push(line) } });
  const metrics = new StoreMetrics();
  const { values } = loadConfig({ env: { MDS_DATA_DIR: folder, MDS_COORDINATOR_FLUSH_INTERVAL: "0.02", ...env } });
  const service = await startService({
    config: { ...values, host: "127.0.0.1", port: 0, migrateOnStart: false },
    database: new StoreDatabase({ url: options.url, maxConnections: 5 }),
    ingest: createIngest({ config: values, url: async () => options.url, log, metrics, ...(clock && { clock }) }),
    log,
    metrics,
  });
  return {
    url: service.url,
    folder,
    lines,
    send: async (dataset, body, { token = options.token, headers } = {}) => {
      const response = await fetch(`${service.url}/v1/${dataset}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, ...headers },
        body,
        ...(body instanceof ReadableStream && { duplex: "half" }),
      } as RequestInit);
      return { status: response.status, headers: response.headers, ...((await response.json()) as Acceptance) };
    },
    metrics: async () => (await fetch(`${service.url}/metrics`)).text(),
    stop: () => service.stop(),
  };
}

/** A tenant of its own with an ingest token. */
export async function makeTenantWithToken(
  database: TestDatabase,
  slug: string,
): Promise<{ readonly id: string; readonly token: string; readonly tokenId: string }> {
  const pool = openPool({ url: database.url, applicationName: "test", maxConnections: 1, connectTimeoutMs: 5_000 });
  try {
    const scope = { pool, timeoutMs: 5_000 };
    const { id } = await createTenant(scope, { slug, name: slug });
    const { token, id: tokenId } = await createIngestToken(scope, slug, "test");
    return { id, token, tokenId };
  } finally {
    await pool.end();
  }
}

/** A bar of one minute as a line of NDJSON. */
export function barLine(at: number, fields: Readonly<Record<string, unknown>> = {}): string {
  const ts = new Date(Date.UTC(2024, 0, 2) + at * 60_000).toISOString();
  const prices = { open_price: 10, high_price: 12, low_price: 9, close_price: 11, volume: at };
  return `${JSON.stringify({ vendor: "v", symbol: "AAA", timeframe: "1m", ts, ...prices, ...fields })}\n`;
}

/** Lines `from` to before `to`. */
export function barLines(to: number, from = 0): string {
  return Array.from({ length: to - from }, (_, at) => barLine(from + at)).join("");
}
