/**
 * Which database a verb works on, and a store on it: the one of `--dsn`, MDS_DSN or DATABASE_URL, or else the embedded
 * one, which belongs to a running service or is started for as long as the verb runs. Only the embedded one is migrated
 * here; a database that was given is the operator's to migrate.
 */
import { setTimeout as wait } from "node:timers/promises";
import { openStore, type Store } from "../client/open-store.ts";
import type { TrustedLoad } from "../client/trusted-load.ts";
import { chooseDatabaseUrl } from "../config/choose-database-url.ts";
import type { LoadedConfig } from "../config/load.ts";
import { bringUpToDate } from "../database/bring-up-to-date.ts";
import { attachEmbedded, type EmbeddedUrls, openEmbedded } from "../database/embedded.ts";
import { openPool } from "../database/pool.ts";
import { countSessions } from "../database/server-facts.ts";
import type { AdminScope } from "../database/tenants.ts";
import { StoreError } from "../errors/store-error.ts";
import { interruptible } from "./interruption.ts";
import type { Shell } from "./shell.ts";

/** Begins the application name of all our commands. */
const SESSION_NAME = "mds";
/** An embedded database may be starting or ending in another process: twice what it takes on a slow machine. */
const IN_USE_PATIENCE_MS = 15_000;
/** A command that uses our embedded database at the same time may go on for so long before it is cut off. */
const OTHERS_PATIENCE_MS = 3_600_000;
const POLL_MS = 200;
const CONNECT_TIMEOUT_MS = 5_000;
/** For a statement on the small tables of the administration. */
const ADMIN_TIMEOUT_MS = 10_000;

/** A database that a verb may use until its work ends. */
export interface UsedDatabase {
  readonly url: string;
  /** For migrations. */
  readonly adminUrl: string;
  /** `service`: the embedded one of a running service; `own`: the embedded one, for this verb alone. */
  readonly kind: "given" | "service" | "own";
}

interface ConnectOptions {
  /** Whether an embedded database is brought up to date first; default true. */
  readonly migrateEmbedded?: boolean;
}

type Work<T> = (used: T, signal: AbortSignal) => Promise<void>;

/** Runs the work on the database of these settings; Ctrl-C aborts its signal. */
export function withDatabase(
  shell: Shell,
  config: LoadedConfig,
  work: Work<UsedDatabase>,
  options: ConnectOptions = {},
): Promise<void> {
  return interruptible(shell, (signal) => {
    const url = chooseDatabaseUrl(config, { as: "client" });
    if (url === undefined) return withEmbedded(shell, config.values, work, signal, options);
    const adminUrl = chooseDatabaseUrl(config, { as: "client", admin: true }) ?? url;
    return work({ url, adminUrl, kind: "given" }, signal);
  });
}

/** Runs the work on the store of the settings' tenant. */
export function withStore(shell: Shell, config: LoadedConfig, verb: string, work: Work<Store>): Promise<void> {
  return withDatabase(shell, config, async (database, signal) => {
    const store = await openTenantStore(database, namedTenant(config), verb, signal);
    try {
      await work(store, signal);
    } finally {
      await store.close();
    }
  });
}

/** Runs the work of an administrator who loads rows for the settings' tenant. */
export function withTrustedLoad(
  shell: Shell,
  config: LoadedConfig,
  verb: string,
  work: Work<TrustedLoad>,
): Promise<void> {
  return withDatabase(shell, config, async ({ url, adminUrl }, signal) => {
    const { openTrustedLoad } = await import("../client/trusted-load.ts");
    const tenant = namedTenant(config);
    const names = { applicationName: `${SESSION_NAME} ${verb}`, jobName: verb };
    const load = await openTrustedLoad({
      url,
      adminUrl,
      ...(tenant !== undefined && { tenant }),
      ...names,
      signal,
    }).catch((error: unknown) => {
      throw asPending(error);
    });
    try {
      await work(load, signal);
    } finally {
      await load.close();
    }
  });
}

/** Runs the work of an administrator, which belongs to no tenant. */
export function withAdmin(shell: Shell, config: LoadedConfig, work: Work<AdminScope>): Promise<void> {
  return withDatabase(shell, config, async ({ url }, signal) => {
    const pool = openPool({
      url,
      applicationName: `${SESSION_NAME} admin`,
      maxConnections: 1,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
    });
    try {
      await work({ pool, timeoutMs: ADMIN_TIMEOUT_MS }, signal);
    } catch (error) {
      throw asPending(error);
    } finally {
      await pool.end();
    }
  });
}

/** Where nobody named one, a bound login has its own and others have "default". */
function namedTenant({ sources, values }: LoadedConfig): string | undefined {
  return sources.tenant === "default" ? undefined : values.tenant;
}

async function openTenantStore(
  database: UsedDatabase,
  tenant: string | undefined,
  verb: string,
  signal: AbortSignal,
): Promise<Store> {
  const deadline = performance.now() + IN_USE_PATIENCE_MS;
  for (;;) {
    try {
      return await openStore({
        url: database.url,
        ...(tenant !== undefined && { tenant }),
        applicationName: `${SESSION_NAME} ${verb}`,
        signal,
      });
    } catch (error) {
      const fault = asPending(error);
      // A service that has just started its database is about to migrate it.
      const mayCome = fault instanceof StoreError && fault.code === "migration_pending" && database.kind === "service";
      if (!mayCome || performance.now() > deadline) throw fault;
      await wait(POLL_MS, undefined, { signal });
    }
  }
}

/** A database without our functions, and one whose roles this login is no member of, are mended in the same way. */
function asPending(error: unknown): unknown {
  if (!(error instanceof StoreError)) return error;
  if (error.code !== "tenant_refused" && error.code !== "migration_pending") return error;
  return new StoreError(
    "migration_pending",
    "The database is not set up for this version and login; run `mds migrate` (with ADMIN_DATABASE_URL, if this login may not).",
    { cause: error },
  );
}

async function withEmbedded(
  shell: Shell,
  { dataDir, engine }: LoadedConfig["values"],
  work: Work<UsedDatabase>,
  signal: AbortSignal,
  { migrateEmbedded = true }: ConnectOptions,
): Promise<void> {
  const { urls, stop } = await reachEmbedded(shell, dataDir, signal);
  if (stop === undefined) {
    await work({ ...urls, kind: "service" }, signal);
    return;
  }
  try {
    if (migrateEmbedded) await bringUpToDate({ adminUrl: urls.adminUrl, serviceUrl: urls.url, engine });
    await work({ ...urls, kind: "own" }, signal);
    await leaveToOthers(shell, urls.adminUrl, signal);
  } finally {
    await stop();
  }
}

/** Attaches where another process runs the database, and starts it where none does. */
async function reachEmbedded(
  shell: Shell,
  dataDir: string,
  signal: AbortSignal,
): Promise<{ urls: EmbeddedUrls; stop?: () => Promise<void> }> {
  const note = (_facts: object, message: string): void => shell.output.note(message);
  const log = { info: () => undefined, warn: note, error: note };
  const deadline = performance.now() + IN_USE_PATIENCE_MS;
  for (;;) {
    const attached = await attachEmbedded({ dataDir });
    if (attached !== undefined) {
      shell.output.note(`Using the embedded database in ${dataDir}, which another process runs.`);
      return { urls: attached };
    }
    try {
      const own = await openEmbedded({ dataDir, log, signal });
      shell.output.note(`Using the embedded database in ${dataDir}, since no database URL is set.`);
      return { urls: { url: own.url, adminUrl: own.adminUrl }, stop: () => own.stop() };
    } catch (error) {
      const isBusy = error instanceof StoreError && error.code === "embedded_in_use";
      if (!isBusy || performance.now() > deadline) throw error;
      await wait(POLL_MS, undefined, { signal });
    }
  }
}

/** Commands that attached to our embedded database meanwhile would fail if it ended under them. */
async function leaveToOthers(shell: Shell, adminUrl: string, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + OTHERS_PATIENCE_MS;
  let isTold = false;
  while (!signal.aborted && performance.now() < deadline) {
    if ((await countSessions(adminUrl, SESSION_NAME)) === 0) return;
    if (!isTold) shell.output.note("Done; waiting for other commands that use this embedded database.");
    isTold = true;
    await wait(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
}
