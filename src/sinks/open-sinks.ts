/** Opens the sinks of all datasets over one pool, for any number of tenants. */
import { Store } from "../client/open-store.ts";
import { requirePostgresUrl } from "../client/postgres-url.ts";
import { tenantScope } from "../client/tenant-scope.ts";
import { openPool } from "../database/pool.ts";
import { type DatasetName, datasetNamed } from "../datasets/registry.ts";
import { StoreError } from "../errors/store-error.ts";
import type { IngestMetrics } from "../telemetry/ingest-metrics.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import { DatasetSink, type SinkScope } from "./dataset-sink.ts";
import type { Sink } from "./sink.ts";

/** A store that is open already, or where one is. */
export type SinkTarget =
  | { readonly store: Store }
  | {
      /** The login is a member of mds_app. */
      readonly url: string;
      /** Slug or UUID of the tenant of rows that name none; that of the login, else `default`, unless given. */
      readonly tenant?: string;
      /** Deadline of each transaction; 30 s unless given. */
      readonly timeoutMs?: number;
      readonly applicationName?: string;
    };

export interface SinkOptions {
  /** Batches that are written at the same time. */
  readonly workers: number;
  readonly batchRows: number;
  readonly metrics?: IngestMetrics | undefined;
  readonly storeMetrics?: Pick<StoreMetrics, "countRows"> | undefined;
}

export type DatasetSinks = Readonly<Record<DatasetName, Sink>>;

interface OpenSinks {
  readonly sinks: DatasetSinks;
  /** UUID of the tenant of rows that name none. */
  readonly tenantId: string;
  /** Closes what was opened here: nothing of a store that was given. */
  close(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;

/** The sinks of all datasets over a pool that is somebody else's. */
export function createSinks(scope: SinkScope, options: Omit<SinkOptions, "workers">): DatasetSinks {
  const { batchRows, metrics, storeMetrics } = options;
  const sink = (name: DatasetName): Sink =>
    new DatasetSink({ scope, dataset: datasetNamed(name), batchRows, metrics, storeMetrics });
  return {
    bars: sink("bars"),
    options: sink("options"),
    fundamentals: sink("fundamentals"),
    news: sink("news"),
    signals: sink("signals"),
  };
}

/**
 * The sinks with a pool of their own, or with that of a store.
 * @throws StoreError `usage`, `tenant_unknown`, `database_unavailable`, `database_refused`, `migration_pending`.
 */
export async function openSinks(target: SinkTarget, options: SinkOptions): Promise<OpenSinks> {
  if ("store" in target) {
    if (!(target.store instanceof Store)) {
      throw new StoreError("usage", "store is none that openStore gave; give one, or a url instead.");
    }
    const { scope } = target.store;
    return { sinks: createSinks(scope, options), tenantId: scope.tenantId, close: async () => {} };
  }
  requirePostgresUrl("url", target.url);
  const pool = openPool({
    url: target.url,
    applicationName: target.applicationName ?? "mds coordinator",
    maxConnections: options.workers,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
  });
  try {
    const scope = await tenantScope(pool, target.tenant, target.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    return { sinks: createSinks(scope, options), tenantId: scope.tenantId, close: () => pool.end() };
  } catch (error) {
    await pool.end();
    throw error;
  }
}
