/**
 * Which engine a database has: the recorded one; else, when it is first migrated, the one that is asked for or that is
 * found. What is asked for and cannot be is refused rather than replaced.
 */
import { StoreError } from "../../errors/store-error.ts";
import type { Connection } from "../pool.ts";
import { OWNER_ROLE } from "../roles.ts";
import { CAPABILITIES, type EngineName } from "./engine.ts";

/** Below it, the columnstore that we count on is not there. */
export const OLDEST_TIMESCALE = [2, 18] as const;
/** What is tested with TimescaleDB. */
const OLDEST_SERVER = 15;

/**
 * The engine for this database. Changes nothing.
 *
 * @param wanted - what MDS_ENGINE asks for.
 * @throws StoreError `engine_refused`.
 */
export async function chooseEngine(client: Connection, wanted: EngineName | undefined): Promise<EngineName> {
  const recorded = await recordedEngine(client);
  if (wanted !== undefined && !isKnown(wanted)) {
    throw refused(
      `This version has no engine "${wanted}"; leave MDS_ENGINE out, or set it to one of ${known().join(", ")}.`,
    );
  }
  if (recorded !== undefined && wanted !== undefined && wanted !== recorded) {
    throw refused(
      `MDS_ENGINE is "${wanted}", but this database was made for the engine "${recorded}"; leave MDS_ENGINE out, or use another database${wanted === "timescale" ? ", or move this one with `mds engine migrate`" : ""}.`,
    );
  }
  if (recorded !== undefined) return recorded;
  if (wanted === "plain") return wanted;
  const obstacle = await timescaleObstacle(client);
  if (wanted === undefined) return obstacle === undefined ? "timescale" : "plain";
  if (obstacle !== undefined) throw refused(`MDS_ENGINE is "timescale", but ${obstacle}`);
  return wanted;
}

/**
 * Why a database cannot have the engine for TimescaleDB; undefined when it can. Tables of the plain engine are an
 * obstacle too unless they are ignored.
 */
export async function timescaleObstacle(
  client: Connection,
  { ignoreTables = false } = {},
): Promise<string | undefined> {
  const { rows } = await client.query<{
    extension: string | null;
    license: string | null;
    server: number;
    used: boolean;
  }>(
    `select (select e.extversion from pg_extension e where e.extname = 'timescaledb') as extension,
       current_setting('timescaledb.license', true) as license,
       current_setting('server_version_num')::int4 / 10000 as server,
       exists (
         select from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'store' and c.relname = 'bars_data' and c.relkind = 'p'
       ) as used`,
  );
  const { extension, license, server, used } = rows[0]!;
  if (extension === null) {
    return "the extension is not in this database; have an administrator run: create extension timescaledb;";
  }
  const [major = 0, minor = 0] = extension.split(".").map(Number);
  if (major < OLDEST_TIMESCALE[0] || (major === OLDEST_TIMESCALE[0] && minor < OLDEST_TIMESCALE[1])) {
    return `TimescaleDB is ${extension}, and at least ${OLDEST_TIMESCALE.join(".")} is needed.`;
  }
  if (server < OLDEST_SERVER) {
    return `the server is PostgreSQL ${server}, and at least ${OLDEST_SERVER} is needed with TimescaleDB.`;
  }
  if (license === "apache") {
    return 'TimescaleDB runs under the license "apache", and the columnstore needs "timescale"; install its Community Edition.';
  }
  return used && !ignoreTables ? "this database was made by a version that had only the plain engine." : undefined;
}

function isKnown(name: string): boolean {
  return known().includes(name);
}

function known(): string[] {
  return Object.entries(CAPABILITIES)
    .filter(([, capabilities]) => capabilities !== null)
    .map(([name]) => name);
}

/**
 * What the database is recorded to have; undefined before the first migration. Changes nothing.
 *
 * @throws StoreError `engine_refused` for one that this version does not have.
 */
export async function recordedEngine(client: Connection): Promise<EngineName | undefined> {
  const recorded = await readRecord(client);
  if (recorded !== undefined && !isKnown(recorded)) throw foreignEngine(recorded);
  return recorded as EngineName | undefined;
}

/** By the function where it may be called, else as the owner. */
async function readRecord(client: Connection): Promise<string | undefined> {
  const { rows } = await client.query<{ callable: boolean; readable: boolean }>(
    `select
       exists (
         select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where n.nspname = 'mds' and p.proname = 'engine'
           and has_schema_privilege(n.oid, 'usage') and has_function_privilege(p.oid, 'execute')
       ) as callable,
       exists (
         select from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'store' and c.relname = 'settings' and pg_has_role(c.relowner, 'member')
       ) as readable`,
  );
  const { callable, readable } = rows[0]!;
  if (callable) return engineOf(await client.query<EngineRow>("select mds.engine() as engine"));
  if (!readable) return undefined;
  await client.query(`set role ${OWNER_ROLE}`);
  try {
    return engineOf(await client.query<EngineRow>("select value as engine from store.settings where name = 'engine'"));
  } finally {
    await client.query("reset role");
  }
}

interface EngineRow {
  readonly engine: string | null;
}

function engineOf({ rows }: { readonly rows: readonly EngineRow[] }): string | undefined {
  return rows[0]?.engine ?? undefined;
}

/** For a database that another version made. */
export function foreignEngine(engine: string): StoreError {
  return refused(
    `The database was made for the engine "${engine}", which this version does not have; run the version that made it, or a newer one.`,
  );
}

function refused(message: string): StoreError {
  return new StoreError("engine_refused", message);
}
