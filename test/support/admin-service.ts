/** The service on a real database with a job queue in memory, its log, and requests to it. */

import { StoreDatabase } from "../../src/database/store-database.ts";
import { type RunningService, startService } from "../../src/service/server.ts";
import type { ServiceJobs } from "../../src/service/start-jobs.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { StoreMetrics } from "../../src/telemetry/metrics.ts";
import { FakeJobQueue } from "./fake-job-queue.ts";
import type { TestDatabase } from "./test-database.ts";

export const ADMIN_TOKEN = "correct-horse-battery-staple";

interface SendOptions {
  /** As JSON. */
  readonly body?: unknown;
  /** The right one unless given; null for none. */
  readonly token?: string | null;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface AdminService {
  readonly url: string;
  readonly jobs: FakeJobQueue;
  /** Lines of the log. */
  readonly lines: string[];
  send(method: string, path: string, options?: SendOptions): Promise<Response>;
  stop(): Promise<void>;
}

export async function startAdminService(
  database: TestDatabase,
  options: { readonly adminToken?: string | undefined; readonly withJobs?: boolean; readonly queue?: ServiceJobs } = {
    adminToken: ADMIN_TOKEN,
  },
): Promise<AdminService> {
  const lines: string[] = [];
  const log = createLogger({ level: "info", stream: { write: (line) => void lines.push(line) } });
  const jobs = new FakeJobQueue();
  const service: RunningService = await startService({
    config: { host: "127.0.0.1", port: 0, migrateOnStart: false, shutdownTimeoutMs: 5_000 },
    database: new StoreDatabase({ url: database.url, maxConnections: 10 }),
    adminToken: options.adminToken,
    ...(options.withJobs !== false && { jobs: options.queue ?? jobs }),
    log,
    metrics: new StoreMetrics(),
  });
  const send = (method: string, path: string, { body, token = ADMIN_TOKEN, key, headers }: SendOptions = {}) =>
    fetch(`${service.url}${path}`, {
      method,
      headers: {
        ...(token !== null && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(key !== undefined && { "idempotency-key": key }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  return { url: service.url, jobs, lines, send, stop: () => service.stop() };
}
