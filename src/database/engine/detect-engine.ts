/**
 * Which engine a database has: the recorded one; else, when it is first migrated, the one that is asked for or that is
 * found. What is asked for and cannot be is refused rather than replaced.
 */
import { StoreError } from "../../errors/store-error.ts";
import type { Connection } from "../pool.ts";
import { OWNER_ROLE } from "../roles.ts";
import { CAPABILITIES, type EngineName } from "./engine.ts";

/**
 * The engine for this database. Changes nothing.
 *
 * @param wanted - what MDS_ENGINE asks for.
 * @throws StoreError `engine_refused`.
 */
export async function chooseEngine(client: Connection, wanted: EngineName | undefined): Promise<EngineName> {
  const recorded = await recordedEngine(client);
  if (recorded !== undefined && !isKnown(recorded)) throw foreignEngine(recorded);
  if (wanted !== undefined && !isKnown(wanted)) {
    throw refused(
      `This version has no engine "${wanted}"; leave MDS_ENGINE out, or set it to one of ${known().join(", ")}.`,
    );
  }
  if (recorded !== undefined && wanted !== undefined && wanted !== recorded) {
    throw refused(
      `MDS_ENGINE is "${wanted}", but this database was made for the engine "${recorded}"; leave MDS_ENGINE out, or use another database.`,
    );
  }
  return (recorded as EngineName | undefined) ?? wanted ?? (await detected(client));
}

/** A known engine in its place: TimescaleDB may be there before this version has an engine for it. */
async function detected(client: Connection): Promise<EngineName> {
  const { rowCount } = await client.query("select from pg_extension where extname = 'timescaledb'");
  return rowCount === 1 && isKnown("timescale") ? "timescale" : "plain";
}

function isKnown(name: string): boolean {
  return known().includes(name);
}

function known(): string[] {
  return Object.entries(CAPABILITIES)
    .filter(([, capabilities]) => capabilities !== null)
    .map(([name]) => name);
}

/** By the function where it may be called, else as the owner; undefined before the first migration. */
async function recordedEngine(client: Connection): Promise<string | undefined> {
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
