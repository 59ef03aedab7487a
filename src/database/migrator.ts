/**
 * Applies the migrations, each in a transaction of its own, under an advisory lock: however many processes start at
 * once, each migration is applied once and nobody fails. A released migration that was changed, or one that this
 * version does not know, stops everything: both need a person.
 */
import type pg from "pg";
import { messageOf, StoreError } from "../errors/store-error.ts";
import { openDirectConnection } from "./direct-connection.ts";
import { chooseEngine, recordedEngine } from "./engine/detect-engine.ts";
import type { EngineName } from "./engine/engine.ts";
import { type Migration, readMigrations } from "./migration-files.ts";
import { openConnection } from "./pool.ts";
import { ensureOwnerLogin, ensureRoles, OWNER_ROLE } from "./roles.ts";
import { toStoreError } from "./sqlstate.ts";

export interface MigratorOptions {
  /** Direct connection of a login that may make roles and schemas, or for which an administrator made them. */
  readonly adminUrl: string;
  /** The service's connection string; its login is made a member of the roles. */
  readonly serviceUrl?: string;
  /** The service's login itself, where its connection string is not known. */
  readonly serviceLogin?: string;
  /** The engine that the database must have; detected unless given. */
  readonly engine?: EngineName | undefined;
  /** How long to wait for another process that is migrating; 60 s unless given. */
  readonly lockTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
  /** Where the numbered files are; the project's own unless given. */
  readonly folder?: URL;
}

/** One migration and how the database stands to it. */
export interface MigrationState {
  readonly version: number;
  readonly name: string;
  /** `altered`: applied, but the file is another now; `unknown`: applied by a version of the store that is not this one. */
  readonly state: "applied" | "pending" | "altered" | "unknown";
  readonly applied_at: string | null;
}

interface AppliedMigration {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly applied_at: string;
}

/** Key of the advisory lock: the first bytes of "market-data-store". */
const LOCK_KEY = 1_835_102_827;
const DEFAULT_LOCK_TIMEOUT_MS = 60_000;
const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;
/** A migration gives up, to be tried again, rather than hold up writers behind a lock that it waits for. */
const STEP_LOCK_TIMEOUT = "10s";

/** Applies what is pending, up to and including `to`. Returns what it applied; with `dryRun` what it would. */
export async function migrateUp(
  options: MigratorOptions,
  step: { to?: number; dryRun?: boolean } = {},
): Promise<Migration[]> {
  return (step.dryRun ? withoutLock : underLock)(options, async (client) => {
    const engine = await chooseEngine(client, options.engine);
    const migrations = await readMigrations(engine, options.folder);
    if (step.to !== undefined && step.to > 0) requireVersion(migrations, step.to);
    const states = migrationStates(migrations, await readApplied(client));
    refuseAltered(states);
    const pending = migrations.filter(
      ({ version }) => states[version - 1]?.state === "pending" && version <= (step.to ?? Number.POSITIVE_INFINITY),
    );
    if (step.dryRun) return pending;
    if (engine === "timescale" && pending.length > 0) await ensureOwnerLogin(client);
    for (const migration of pending) {
      await inTransaction(client, migration, "up", [
        `set local role ${OWNER_ROLE}`,
        migration.up,
        insertApplied(client, migration),
        recordEngine(engine),
      ]);
    }
    return pending;
  });
}

/** Takes back what is newer than `to`, newest first. Data in tables that a migration made goes with them. */
export async function migrateDown(
  options: MigratorOptions,
  step: { to: number; dryRun?: boolean },
): Promise<Migration[]> {
  return (step.dryRun ? withoutLock : underLock)(options, async (client) => {
    const migrations = await migrationsOf(client, options);
    const states = migrationStates(migrations, await readApplied(client));
    refuseAltered(states);
    const undone = migrations
      .filter(({ version }) => states[version - 1]?.state === "applied" && version > step.to)
      .reverse();
    if (step.dryRun) return undone;
    for (const migration of undone) {
      await inTransaction(client, migration, "down", [
        `set local role ${OWNER_ROLE}`,
        migration.down,
        `delete from store.schema_migrations where version = ${migration.version}`,
      ]);
    }
    return undone;
  });
}

/** Records everything up to `to` as applied without running it: for a database that was restored or made by hand. */
export async function stampMigrations(options: MigratorOptions, to: number): Promise<Migration[]> {
  return underLock(options, async (client) => {
    const engine = await chooseEngine(client, options.engine);
    const migrations = await readMigrations(engine, options.folder);
    requireVersion(migrations, to);
    const applied = new Set((await readApplied(client)).map(({ version }) => version));
    const stamped = migrations.filter(({ version }) => version <= to && !applied.has(version));
    for (const migration of stamped) {
      await inTransaction(client, migration, "stamp", [
        `set local role ${OWNER_ROLE}`,
        insertApplied(client, migration),
        recordEngine(engine),
      ]);
    }
    return stamped;
  });
}

/** How the database stands to each migration; changes nothing, also where the store was never installed. */
export function migrationStatus(options: MigratorOptions): Promise<MigrationState[]> {
  return withoutLock(options, async (client) => {
    // A database whose engine cannot be read is told its state all the same.
    const migrations = await migrationsOf(client, options).catch(() => readMigrations("plain", options.folder));
    return migrationStates(migrations, await readApplied(client));
  });
}

/** Compares files with what was applied. */
export function migrationStates(
  migrations: readonly Migration[],
  applied: readonly AppliedMigration[],
): MigrationState[] {
  const byVersion = new Map(applied.map((one) => [one.version, one]));
  const states = migrations.map(({ version, name, checksum }): MigrationState => {
    const row = byVersion.get(version);
    byVersion.delete(version);
    if (row === undefined) return { version, name, state: "pending", applied_at: null };
    return { version, name, state: row.checksum === checksum ? "applied" : "altered", applied_at: row.applied_at };
  });
  const unknown = [...byVersion.values()].map(
    ({ version, name, applied_at }): MigrationState => ({ version, name, state: "unknown", applied_at }),
  );
  return [...states, ...unknown.sort((a, b) => a.version - b.version)];
}

/** @throws StoreError `usage`. */
function requireVersion(migrations: readonly Migration[], version: number): void {
  if (migrations.some((migration) => migration.version === version)) return;
  throw new StoreError("usage", `There is no migration ${version}; the newest is ${migrations.length}.`);
}

/** @throws StoreError `migration_altered` or `migration_unknown`. */
function refuseAltered(states: readonly MigrationState[]): void {
  const altered = states.find(({ state }) => state === "altered");
  if (altered !== undefined) {
    throw new StoreError(
      "migration_altered",
      `Migration ${altered.version} (${altered.name}) was changed after it was applied; restore the released file.`,
    );
  }
  const unknown = states.find(({ state }) => state === "unknown");
  if (unknown !== undefined) {
    throw new StoreError(
      "migration_unknown",
      `The database has migration ${unknown.version} (${unknown.name}), which this version does not know; run the version that applied it, or a newer one.`,
    );
  }
}

type Work<T> = (client: pg.Client) => Promise<T>;

/** Those of the engine that the database is recorded to have; without one, those of plain, whose names are the same. */
async function migrationsOf(client: pg.Client, { folder }: MigratorOptions): Promise<Migration[]> {
  return readMigrations(await recordedEngine(client), folder);
}

/** For looking only: makes nothing, not even the roles. */
async function withoutLock<T>(options: MigratorOptions, work: Work<T>): Promise<T> {
  const client = await connect(options);
  try {
    return await work(client);
  } catch (error) {
    throw toStoreError(error);
  } finally {
    await client.end();
  }
}

async function underLock<T>(options: MigratorOptions, work: Work<T>): Promise<T> {
  const client = await connect(options, openDirectConnection);
  try {
    await client.query(`set lock_timeout = ${options.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS}`);
    await takeLock(client);
    await client.query(`set lock_timeout = '${STEP_LOCK_TIMEOUT}'`);
    await prepare(client, options);
    return await work(client);
  } catch (error) {
    throw toStoreError(error);
  } finally {
    await client.end();
  }
}

/** Roles and schemas. A login that may not make them is welcome where there is nothing left to make. */
async function prepare(client: pg.Client, options: MigratorOptions): Promise<void> {
  try {
    await ensureRoles(client, await serviceLogin(client, options));
    await ensureSchemas(client);
  } catch (error) {
    const isLacking = error instanceof StoreError && error.code === "role_missing";
    const states = isLacking ? migrationStates(await migrationsOf(client, options), await readApplied(client)) : [];
    if (!isLacking || states.some(({ state }) => state === "pending")) throw error;
  }
}

/** The lock ends with the connection. */
async function takeLock(client: pg.Client): Promise<void> {
  try {
    await client.query("select pg_advisory_lock($1)", [LOCK_KEY]);
  } catch (error) {
    const cause = toStoreError(error);
    if (cause.code !== "database_conflict") throw cause;
    throw new StoreError("database_conflict", "Another process is still migrating this database; try again later.", {
      cause,
    });
  }
}

async function connect(options: MigratorOptions, open = openConnection): Promise<pg.Client> {
  try {
    return await open(options.adminUrl, "mds migrate", options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS);
  } catch (error) {
    throw toStoreError(error);
  }
}

async function serviceLogin(client: pg.Client, { serviceUrl, serviceLogin: given }: MigratorOptions): Promise<string> {
  const { rows } = await client.query<{ login: string }>("select session_user::text as login");
  const named = given ?? (serviceUrl === undefined ? "" : decodeURIComponent(new URL(serviceUrl).username));
  return named === "" ? rows[0]!.login : named;
}

async function ensureSchemas(client: pg.Client): Promise<void> {
  // `pgboss` is filled by the job runner, which may make no schema: it works as the owner.
  for (const schema of ["store", "mds", "pgboss"]) {
    const { rowCount } = await client.query("select from pg_namespace where nspname = $1", [schema]);
    if (rowCount === 0) await client.query(`create schema ${schema} authorization ${OWNER_ROLE}`);
  }
  await client.query(`set role ${OWNER_ROLE}`);
  await client.query(`create table if not exists store.schema_migrations (
    version int4 primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
  )`);
  await client.query("reset role");
}

/** By the function where this login may call it: the table is the owner's alone. */
async function readApplied(client: pg.Client): Promise<AppliedMigration[]> {
  const { rows: found } = await client.query<{ callable: boolean; there: boolean }>(
    `select
       exists (
         select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where n.nspname = 'mds' and p.proname = 'applied_migrations'
           and has_schema_privilege(n.oid, 'usage') and has_function_privilege(p.oid, 'execute')
       ) as callable,
       exists (
         select from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'store' and c.relname = 'schema_migrations'
       ) as there`,
  );
  const { callable, there } = found[0]!;
  if (!callable && !there) return [];
  const { rows } = await client.query<AppliedMigration>(
    `select version, name, checksum, to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as applied_at
     from ${callable ? "mds.applied_migrations()" : "store.schema_migrations"} order by version`,
  );
  return rows;
}

function insertApplied(client: pg.Client, { version, name, checksum }: Migration): string {
  return `insert into store.schema_migrations (version, name, checksum)
    values (${version}, ${client.escapeLiteral(name)}, ${client.escapeLiteral(checksum)})`;
}

/**
 * In the transaction of every migration, since one that is engine-specific must never run without it. A database may be
 * stamped before its tables are brought there.
 */
function recordEngine(engine: EngineName): string {
  return `do $$ begin
    if to_regclass('store.settings') is not null then
      insert into store.settings (name, value) values ('engine', '${engine}') on conflict (name) do nothing;
    end if;
  end $$`;
}

async function inTransaction(
  client: pg.Client,
  migration: Migration,
  verb: string,
  statements: string[],
): Promise<void> {
  try {
    await client.query("begin");
    for (const statement of statements) await client.query(statement);
    await client.query("commit");
  } catch (error) {
    await client.query("rollback").catch(() => {}); // the first error is the one that counts
    const cause = toStoreError(error);
    if (cause.retryable) throw cause;
    throw new StoreError(
      "migration_failed",
      `Migration ${migration.version} (${migration.name}) failed at "${verb}": ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}
