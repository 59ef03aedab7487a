/**
 * Bulk loading as an administrator's work, for one tenant: rows that are new go into the tables by COPY, as their owner,
 * nearly as fast as COPY is; rows whose keys are stored go through the upsert. Rows are checked as ever, and the outcome
 * is that of the upsert. Each call is a run in the tenant's ledger, which says that it was trusted.
 */
import { type OwnerScope, queryAsOwner } from "../database/owner-copy.ts";
import { openPool, type Pool } from "../database/pool.ts";
import { runAsLogin, type TenantScope } from "../database/session.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { type DatasetName, datasetNamed } from "../datasets/registry.ts";
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import type { StoreOptions } from "./open-store.ts";
import { PartitionCache } from "./partition-cache.ts";
import { requirePostgresUrl } from "./postgres-url.ts";
import { Runs } from "./runs.ts";
import { SeriesCache } from "./series-cache.ts";
import { tenantScope } from "./tenant-scope.ts";
import { TrustedCopy } from "./trusted-copy.ts";
import { type RowSource, type UpsertOptions, type UpsertResult, upsertRows } from "./upsert.ts";
import { type AnyColumnBatch, upsertColumns } from "./upsert-columns.ts";
import type { WriteTarget } from "./write-batch.ts";

export interface TrustedLoadOptions extends Omit<StoreOptions, "maxConnections"> {
  /** Connection of a login that is a member of mds_owner, to the database of `url`. */
  readonly adminUrl: string;
  /** Name of the runs in the ledger; `trusted-load` unless given. */
  readonly jobName?: string;
}

/** What became of the rows, as of an upsert. */
export interface TrustedLoadResult extends UpsertResult {
  /** Of the inserted rows those that went by COPY. */
  readonly copied: number;
}

const DEFAULTS = { timeoutMs: 120_000, connectTimeoutMs: 5_000, jobName: "trusted-load" } as const;
/** One for the upsert, one for the ledger, which is told while a batch is written. */
const CONNECTIONS = 2;
const OPTIONS = fieldsOf<TrustedLoadOptions>({
  url: true,
  adminUrl: true,
  tenant: true,
  timeoutMs: true,
  connectTimeoutMs: true,
  applicationName: true,
  jobName: true,
  signal: true,
});
/** One batch is copied while the one before it is. */
const OWNER_CONNECTIONS = 2;
/** Measured: 20,000 to 50,000 are alike; see docs/decisions/upsert.md. */
const BATCH_ROWS = 30_000;
/** What tells two databases apart, also a copy from its origin. */
const PLACE_SQL = "select current_database() as name, pg_postmaster_start_time()::text as since";

/**
 * @throws StoreError `role_missing` for an admin login that may not act as the owner, `usage` where the two URLs are not
 *   of one database, and what `openStore` throws.
 */
export async function openTrustedLoad(options: TrustedLoadOptions): Promise<TrustedLoad> {
  requireFields("openTrustedLoad", options, OPTIONS);
  const { url, adminUrl, tenant, signal, applicationName = "market-data-store" } = options;
  const { timeoutMs, connectTimeoutMs, jobName } = { ...DEFAULTS, ...options };
  requirePostgresUrl("url", url);
  requirePostgresUrl("adminUrl", adminUrl);
  const pool = openPool({ url, applicationName, maxConnections: CONNECTIONS, connectTimeoutMs });
  const owner = {
    pool: openPool({
      url: adminUrl,
      applicationName: `${applicationName} trusted`,
      maxConnections: OWNER_CONNECTIONS,
      connectTimeoutMs,
    }),
    timeoutMs,
  };
  try {
    const scope = await tenantScope(pool, tenant, timeoutMs, signal);
    await requireOnePlace(scope, owner, signal);
    return new TrustedLoad(scope, owner, jobName);
  } catch (error) {
    await closePools(pool, owner.pool);
    throw error;
  }
}

/** Close it when done. */
export class TrustedLoad {
  readonly #scope: TenantScope;
  readonly #owner: OwnerScope;
  readonly #jobName: string;
  /** UUID of the tenant. */
  readonly tenantId: string;

  /** @internal Use openTrustedLoad. */
  constructor(scope: TenantScope, owner: OwnerScope, jobName: string) {
    this.#scope = scope;
    this.#owner = owner;
    this.#jobName = jobName;
    this.tenantId = scope.tenantId;
  }

  /** @throws StoreError `usage` for a dataset that has decimals, as fundamentals have. */
  dataset(name: DatasetName): TrustedDataset {
    return new TrustedDataset(this.#scope, this.#owner, datasetNamed(name), this.#jobName);
  }

  async close(): Promise<void> {
    await closePools(this.#scope.pool, this.#owner.pool);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A dataset of the tenant. */
export class TrustedDataset {
  readonly dataset: DatasetShape;
  readonly #scope: TenantScope;
  readonly #copy: TrustedCopy;
  readonly #caches: { readonly series: SeriesCache; readonly partitions: PartitionCache };
  readonly #runs: Runs;
  readonly #jobName: string;

  /** @internal Use `TrustedLoad.dataset`. */
  constructor(scope: TenantScope, owner: OwnerScope, dataset: DatasetShape, jobName: string) {
    this.dataset = dataset;
    this.#scope = scope;
    this.#copy = new TrustedCopy(owner, scope.tenantId, dataset);
    this.#caches = { series: new SeriesCache(dataset), partitions: new PartitionCache(dataset.name) };
    this.#runs = new Runs(scope);
    this.#jobName = jobName;
  }

  /**
   * Stores rows as `upsert` of the dataset's client does, 30,000 in a transaction unless `batchRows` is given.
   *
   * @throws StoreError as `upsert`; batches committed before stay, and the ledger has them.
   */
  upsert(rows: RowSource<unknown>, options: UpsertOptions = {}): Promise<TrustedLoadResult> {
    return this.#run((target) => upsertRows(target, rows, { batchRows: BATCH_ROWS, ...options }), options);
  }

  /** The same for rows that are columns, as `upsertColumns` of the dataset's client. */
  upsertColumns(columns: AnyColumnBatch, options: UpsertOptions = {}): Promise<TrustedLoadResult> {
    return this.#run((target) => upsertColumns(target, columns, { batchRows: BATCH_ROWS, ...options }), options);
  }

  async #run(
    load: (target: WriteTarget) => Promise<UpsertResult>,
    { signal }: UpsertOptions,
  ): Promise<TrustedLoadResult> {
    const { dataset } = this;
    const metadata = { trusted: true };
    const { run_id: runId } = await this.#runs.start(
      { job_name: this.#jobName, mode: "backfill", dataset: dataset.name, metadata },
      signal && { signal },
    );
    const before = this.#copy.copied;
    const target = { scope: this.#scope, dataset, copy: this.#copy, ...this.#caches };
    try {
      const result = await load(target);
      const copied = this.#copy.copied - before;
      await this.#runs.complete(runId, { ...writtenRows(result), metadata: { ...metadata, copied } });
      return { ...result, copied };
    } catch (error) {
      const written = error instanceof StoreError ? (error.details["written"] as UpsertResult | undefined) : undefined;
      const progress = { ...(written && writtenRows(written)), metadata: { copied: this.#copy.copied - before } };
      // The first error is the one that counts; a run that is left running is told by its silence.
      await this.#runs
        .complete(runId, { ...progress, status: statusOf(error), error: messageOf(error) })
        .catch(() => {});
      throw error;
    }
  }
}

function writtenRows({ inserted, updated, rejected }: Pick<UpsertResult, "inserted" | "updated" | "rejected">) {
  return { rows_written: inserted + updated, rows_failed: rejected };
}

function statusOf(error: unknown): "cancelled" | "failed" {
  return error instanceof StoreError && error.code === "aborted" ? "cancelled" : "failed";
}

async function requireOnePlace(scope: TenantScope, owner: OwnerScope, signal?: AbortSignal): Promise<void> {
  const statement = { text: PLACE_SQL, values: [] };
  const [ours] = await runAsLogin<object>(scope, statement, signal);
  const [owners] = await queryAsOwner<object>(owner, statement, signal);
  if (JSON.stringify(ours) === JSON.stringify(owners)) return;
  throw new StoreError("usage", "The admin URL leads to another database than the store's; set both to the same one.");
}

async function closePools(...pools: readonly Pool[]): Promise<void> {
  await Promise.all(pools.map((pool) => pool.end()));
}
