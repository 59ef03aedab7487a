/**
 * A database with the store in it, as a long-running process sees it: one pool, the state of the schema, and migrations
 * through a direct connection of their own. Checks use the pool; they never open another one.
 */

import type { SchemaVersion } from "../contracts/schema-version.ts";
import { StoreError } from "../errors/store-error.ts";
import { bringUpToDate } from "./bring-up-to-date.ts";
import type { EngineName } from "./engine/engine.ts";
import { type Migration, readMigrations } from "./migration-files.ts";
import { type MigratorOptions, migrationStates } from "./migrator.ts";
import { openPool, type Pool } from "./pool.ts";
import { type RoleScope, runAsRole } from "./session.ts";
import { toStoreError } from "./sqlstate.ts";
import type { AdminScope } from "./tenants.ts";
import { utcText } from "./utc-text.ts";

export interface StoreDatabaseOptions {
  /** The service's login. */
  readonly url: string;
  /** Direct connection for migrations; `url` unless given. */
  readonly adminUrl?: string;
  /** The engine that the database must have; detected unless given. */
  readonly engine?: EngineName | undefined;
  readonly maxConnections: number;
  /** Told of connections that broke while nobody used them. */
  readonly onIdleError?: (error: Error) => void;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** The migration that made mds.engine. */
const ENGINE_SINCE = 9;
/** For what a health check or a status page asks; each passes a shorter signal of its own. */
const QUERY_TIMEOUT_MS = 5_000;

const STATE_SQL = `select version, checksum, ${utcText("applied_at")} as applied_at,
    current_setting('server_version') as server_version
  from mds.applied_migrations()`;

export class StoreDatabase {
  readonly #pool: Pool;
  readonly #migrator: MigratorOptions;
  /** Read once: files do not change under a running process. */
  #migrations: { readonly engine: string; readonly all: Promise<Migration[]> } | undefined;
  /** Once recorded it stays. */
  #engine: string | null = null;

  constructor({ url, adminUrl = url, engine, maxConnections, onIdleError }: StoreDatabaseOptions) {
    this.#migrator = { adminUrl, serviceUrl: url, engine };
    this.#pool = openPool({
      url,
      applicationName: "mds serve",
      maxConnections,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      ...(onIdleError && { onIdleError }),
    });
  }

  /** @throws StoreError when the database does not answer. */
  async ping(signal: AbortSignal): Promise<void> {
    await abortable(signal, async () => {
      await this.#pool.query("select 1");
    });
  }

  /** The state of the schema; version 0 where the store was never installed. */
  async schemaVersion(signal: AbortSignal): Promise<SchemaVersion> {
    const scope: RoleScope = { pool: this.#pool, role: "mds_app", timeoutMs: QUERY_TIMEOUT_MS };
    const rows = await runAsRole<{ version: number; checksum: string; applied_at: string; server_version: string }>(
      scope,
      { text: STATE_SQL, values: [] },
      signal,
    ).catch((error: StoreError) => {
      if (error.code === "migration_pending" || error.code === "tenant_refused") return [];
      throw error;
    });
    const newest = rows.at(-1);
    if ((newest?.version ?? 0) >= ENGINE_SINCE) this.#engine ??= await this.#readEngine(scope, signal);
    const states = migrationStates(
      await this.#migrationsOf(this.#engine),
      rows.map((row) => ({ ...row, name: "" })),
    );
    return {
      version: newest?.version ?? 0,
      applied_at: newest?.applied_at ?? null,
      pending: states.filter(({ state }) => state === "pending").length,
      checksum_ok: states.every(({ state }) => state === "applied" || state === "pending"),
      engine: this.#engine,
      engine_version: newest?.server_version ?? (await this.#serverVersion(signal)),
    };
  }

  /** Applies what is pending, under a lock. */
  async migrate(signal: AbortSignal): Promise<{ readonly applied: number }> {
    signal.throwIfAborted();
    const applied = await bringUpToDate(this.#migrator);
    return { applied: applied.length };
  }

  /** The pool for what the administration does. Closed with this. */
  admin(): Promise<AdminScope> {
    return Promise.resolve({ pool: this.#pool, timeoutMs: QUERY_TIMEOUT_MS });
  }

  poolCounts(): { inUse: number; idle: number; waiting: number } {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return { inUse: totalCount - idleCount, idle: idleCount, waiting: waitingCount };
  }

  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }

  /** The general ones for an engine that this version does not have: with those its schema is not right. */
  #migrationsOf(engine: string | null): Promise<Migration[]> {
    const own = engine === "timescale" ? engine : "plain";
    if (this.#migrations?.engine !== own) this.#migrations = { engine: own, all: readMigrations(own) };
    return this.#migrations.all;
  }

  async #readEngine(scope: RoleScope, signal: AbortSignal): Promise<string | null> {
    const [row] = await runAsRole<{ engine: string | null }>(
      scope,
      { text: "select mds.engine() as engine", values: [] },
      signal,
    );
    return row!.engine;
  }

  async #serverVersion(signal: AbortSignal): Promise<string> {
    const { rows } = await abortable(signal, () =>
      this.#pool.query<{ v: string }>("select current_setting('server_version') as v"),
    );
    return rows[0]!.v;
  }
}

/** The work's result, or the signal's end, whichever comes first; the query itself ends by the pool's own deadlines. */
async function abortable<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const stopped = Promise.withResolvers<never>();
  const stop = (): void =>
    stopped.reject(
      new StoreError("database_unavailable", "The database did not answer in time.", { cause: signal.reason }),
    );
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([work(), stopped.promise]);
  } catch (error) {
    throw toStoreError(error);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
