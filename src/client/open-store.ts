/**
 * Opens the store for one tenant. A store owns its connections and nothing else: no timers, no files, nothing that
 * outlives `close`.
 */
import { openPool, type Pool } from "../database/pool.ts";
import type { TenantScope } from "../database/session.ts";
import { fundamentals } from "../datasets/fundamentals.ts";
import { news } from "../datasets/news.ts";
import { type DatasetName, datasetNamed } from "../datasets/registry.ts";
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import { BarsClient } from "./bars-client.ts";
import { BatchWriter, type BatchWriterOptions } from "./batch-writer.ts";
import { type AnyDatasetClient, DatasetClient } from "./dataset-client.ts";
import { type Freshness, freshness } from "./latest.ts";
import { OptionsClient } from "./options-client.ts";
import { requirePostgresUrl } from "./postgres-url.ts";
import { Runs } from "./runs.ts";
import { SignalsClient } from "./signals-client.ts";
import { StoreSnapshot } from "./snapshot.ts";
import { tenantScope } from "./tenant-scope.ts";
import type { ReadOptions } from "./window.ts";

export interface StoreOptions {
  /** `postgres://…`; the login is a member of mds_app, or bound to a tenant and then reads only. */
  readonly url: string;
  /** Slug or UUID; unless given the tenant that the login is bound to, else `default`. */
  readonly tenant?: string;
  /** Connections at most, 1 to 100; 4 unless given. Each call under way holds one. */
  readonly maxConnections?: number;
  /** Deadline of each transaction and of each page of a read; 30 s unless given. */
  readonly timeoutMs?: number;
  /** How long to wait for a connection; 5 s unless given. */
  readonly connectTimeoutMs?: number;
  /** Shown in pg_stat_activity; `market-data-store` unless given. */
  readonly applicationName?: string;
  readonly signal?: AbortSignal;
}

const DEFAULTS = { maxConnections: 4, timeoutMs: 30_000, connectTimeoutMs: 5_000 } as const;
const OPTIONS = fieldsOf<StoreOptions>({
  url: true,
  tenant: true,
  maxConnections: true,
  timeoutMs: true,
  connectTimeoutMs: true,
  applicationName: true,
  signal: true,
});
/** More connections than this from one process slow the server down for everybody. */
const MAX_CONNECTIONS = 100;

/**
 * @throws StoreError `tenant_unknown`, `database_unavailable`, `database_refused`, `migration_pending`, `usage`.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  requireFields("openStore", options, OPTIONS);
  const maxConnections = options.maxConnections ?? DEFAULTS.maxConnections;
  if (!Number.isInteger(maxConnections) || maxConnections < 1 || maxConnections > MAX_CONNECTIONS) {
    throw new StoreError(
      "usage",
      `maxConnections is ${maxConnections}; it must be a whole number from 1 to ${MAX_CONNECTIONS}.`,
    );
  }
  requirePostgresUrl("url", options.url);
  const pool = openPool({
    url: options.url,
    applicationName: options.applicationName ?? "market-data-store",
    maxConnections,
    connectTimeoutMs: options.connectTimeoutMs ?? DEFAULTS.connectTimeoutMs,
  });
  const timeoutMs = options.timeoutMs ?? DEFAULTS.timeoutMs;
  try {
    return new Store(await tenantScope(pool, options.tenant, timeoutMs, options.signal));
  } catch (error) {
    await pool.end();
    throw error;
  }
}

/** One tenant's data. Close it when done. */
export class Store {
  readonly #pool: Pool;
  readonly #scope: TenantScope;
  /** UUID of the tenant. */
  readonly tenantId: string;
  readonly bars: BarsClient;
  readonly options: OptionsClient;
  readonly fundamentals: DatasetClient<typeof fundamentals>;
  readonly news: DatasetClient<typeof news>;
  readonly signals: SignalsClient;
  /** The ledger of the tenant's runs. */
  readonly runs: Runs;

  /** @internal Use openStore. */
  constructor(scope: TenantScope) {
    this.#pool = scope.pool;
    this.tenantId = scope.tenantId;
    this.#scope = scope;
    this.bars = new BarsClient(scope);
    this.options = new OptionsClient(scope);
    this.fundamentals = new DatasetClient(scope, fundamentals);
    this.news = new DatasetClient(scope, news);
    this.signals = new SignalsClient(scope);
    this.runs = new Runs(scope);
  }

  /** @internal Its connections and its tenant, for what writes beside it, such as a coordinator. */
  get scope(): TenantScope {
    return this.#scope;
  }

  /** The client of a dataset whose name is only known at run time. @throws StoreError `usage` where there is none. */
  dataset(name: DatasetName): AnyDatasetClient {
    return this[datasetNamed(name).name as DatasetName] as unknown as AnyDatasetClient;
  }

  /** The newest time of each dataset. */
  freshness(options?: ReadOptions): Promise<Freshness[]> {
    return freshness(this.#scope, options);
  }

  /** One moment of all datasets, for readings that must agree with each other; close it when done. */
  async snapshot(signal?: AbortSignal): Promise<StoreSnapshot> {
    requireFields("A snapshot", { signal }, ["signal"]);
    return StoreSnapshot.open(this.#scope, signal);
  }

  /** A writer for rows of many datasets that come one by one. */
  batchWriter(options?: BatchWriterOptions): BatchWriter {
    return new BatchWriter(this, options);
  }

  /** Waits for calls under way and closes the connections. */
  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
