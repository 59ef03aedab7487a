/**
 * Moves a live database from the plain engine to TimescaleDB, dataset by dataset. Partitions are copied one after the
 * other, each verified by count and checksum of every series; what is written meanwhile is noted by triggers and copied
 * again. Writers and readers wait only while the last of it is copied and the tables are swapped.
 * What breaks off goes on by being called again. The former tables stay until `dropFormerTables`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "../../errors/store-error.ts";
import { openDirectConnection } from "../direct-connection.ts";
import { identifier } from "../identifier.ts";
import { readMigrations } from "../migration-files.ts";
import { type OwnerSession, withOwner } from "../owner-session.ts";
import { ensureOwnerLogin } from "../roles.ts";
import { toStoreError } from "../sqlstate.ts";
import { chooseEngine, timescaleObstacle } from "./detect-engine.ts";
import { LOCK_NOT_AVAILABLE, RETENTION_TIMEOUT_MS, sqlstateOf } from "./retention-plan.ts";

/** A dataset or aggregate that is in a hypertable now. */
export interface MovedDataset {
  readonly dataset: string;
  /** In the former table, when its partitions were copied; what was written since is verified too, and not counted. */
  readonly rows: number;
  readonly partitions: number;
}

export interface MoveOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told of what is done, in whole sentences. */
  readonly onProgress?: (message: string) => void;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** How long the swap may hold up others before it lets them go first. */
const SWAP_LOCK_TIMEOUT = "2s";
const SWAP_PAUSE_MS = 1_000;
/** A table that is always locked for longer needs a person. */
const SWAP_TRIES = 300;
/** Times written since that are left to the swap: each is an hour's rows at most, which are copied in a moment. */
const FEW_TIMES = 4;
const DEADLOCK = "40P01";
const IN_THE_WAY: ReadonlySet<unknown> = new Set([LOCK_NOT_AVAILABLE, DEADLOCK]);
/** A writer that is faster than the copying would keep it going for ever. */
const MAX_FOLLOWS = 100;

/**
 * @param adminUrl - direct connection of a login that is a member of mds_owner, and may let mds_owner log in.
 * @throws StoreError `engine_refused` where TimescaleDB is not there or too old, `migration_pending`,
 *   `constraint_violated` when a copy is not what it was made of, and what a database may say.
 */
export async function moveToTimescale(adminUrl: string, options: MoveOptions = {}): Promise<MovedDataset[]> {
  await prepare(adminUrl);
  const { signal, onProgress } = options;
  return withOwner({ adminUrl, signal, statementTimeoutMs: RETENTION_TIMEOUT_MS }, async (owner) => {
    await recordEngine(owner);
    const moved: MovedDataset[] = [];
    for (const one of await unmoved(owner)) {
      onProgress?.(`Moving ${one.dataset}.`);
      moved.push(await moveDataset(owner, one, options));
    }
    return moved;
  });
}

/** Drops the tables that moves left behind; their names. */
export function dropFormerTables(adminUrl: string, signal?: AbortSignal): Promise<string[]> {
  return withOwner({ adminUrl, signal, statementTimeoutMs: RETENTION_TIMEOUT_MS }, async (owner) => {
    const tables = await formerTables(owner);
    for (const name of tables) await owner.query(`drop table store.${identifier(name)}`);
    return tables;
  });
}

async function formerTables(owner: OwnerSession): Promise<string[]> {
  const rows = await owner.query<{ name: string }>(
    `select c.relname::text as name from store.policies p
     join pg_class c on c.oid = to_regclass(format('store.%I', p.dataset || '_data_plain')) order by 1`,
  );
  return rows.map(({ name }) => name);
}

async function prepare(adminUrl: string): Promise<void> {
  const client = await openDirectConnection(adminUrl, "mds engine", CONNECT_TIMEOUT_MS);
  try {
    await chooseEngine(client, undefined);
    const obstacle = await timescaleObstacle(client, { ignoreTables: true });
    if (obstacle !== undefined) throw new StoreError("engine_refused", `The database cannot move: ${obstacle}`);
    await ensureOwnerLogin(client);
  } catch (error) {
    throw toStoreError(error);
  } finally {
    await client.end();
  }
}

/** Brings in what the engine's own migrations make, in one transaction with the record of it. */
async function recordEngine(owner: OwnerSession): Promise<void> {
  const [row] = await owner.query<{ engine: string | null }>("select mds.engine() as engine");
  if (row?.engine === "timescale") return;
  const [plain, timescale] = [await readMigrations("plain"), await readMigrations("timescale")];
  const [newest] = await owner.query<{ version: number }>(
    "select max(version)::int4 as version from store.schema_migrations",
  );
  if (newest!.version !== plain.length) {
    throw new StoreError("migration_pending", "The schema is not that of this version; run `mds migrate` first.");
  }
  await owner.inTransaction(async () => {
    for (const [at, migration] of timescale.entries()) {
      if (migration.checksum === plain[at]!.checksum) continue;
      await owner.query(migration.up);
      await owner.query("update store.schema_migrations set checksum = $2 where version = $1", [
        migration.version,
        migration.checksum,
      ]);
    }
    await owner.query("update store.settings set value = 'timescale' where name = 'engine'");
  });
}

interface Unmoved {
  readonly dataset: string;
  readonly width: string;
  readonly compress_after: string | null;
}

function unmoved(owner: OwnerSession): Promise<Unmoved[]> {
  return owner.query<Unmoved>(
    `select p.dataset, d.width, coalesce(p.compress_after, d.compress_after)::text as compress_after
     from store.policies p join store.hypertable_defaults() d on d.dataset = p.dataset
     where not store.is_hypertable(p.dataset) order by p.source is not null, p.dataset collate "C"`,
  );
}

async function moveDataset(owner: OwnerSession, one: Unmoved, options: MoveOptions): Promise<MovedDataset> {
  const { dataset, width } = one;
  await owner.query("select store.begin_move($1, $2)", [dataset, width]);
  await copyPartitions(owner, dataset, options);
  for (let follows = 0; follows < MAX_FOLLOWS; follows++) {
    const [row] = await asOfOneMoment<{ times: bigint }>(owner, "select store.follow_move($1) as times", [dataset]);
    if (Number(row!.times) <= FEW_TIMES) break;
  }
  await swap(owner, one, options.signal);
  const [sum] = await owner.query<{ rows: bigint; partitions: number }>(
    `select coalesce(sum(row_count), 0)::int8 as rows, count(*)::int4 as partitions
     from store.moved_partitions where dataset = $1`,
    [dataset],
  );
  return { dataset, rows: Number(sum!.rows), partitions: sum!.partitions };
}

/** Those that are not copied yet, also of an attempt that broke off, each in a transaction of its own. */
async function copyPartitions(owner: OwnerSession, dataset: string, { onProgress }: MoveOptions): Promise<void> {
  const partitions = await owner.query<{ name: string }>(
    `select a.partition_name as name from store.partitions($1) a
     where not exists (
       select from store.moved_partitions m where m.dataset = $1 and m.partition_name = a.partition_name
     )
     order by a.range_start`,
    [dataset],
  );
  for (const { name } of partitions) {
    const [copied] = await asOfOneMoment<{ rows: bigint; series: bigint }>(
      owner,
      `with copied as (
         select c.copied, c.series from store.partitions($1) a
         cross join lateral store.copy_rows($1 || '_data', $1 || '_data_moving', store.time_column($1), a.range_start, a.range_end) c
         where a.partition_name = $2
       )
       insert into store.moved_partitions (dataset, partition_name, row_count, series_count)
       select $1, $2, copied, series from copied
       returning row_count as rows, series_count as series`,
      [dataset, name],
    );
    if (copied !== undefined) onProgress?.(`Copied ${name}: ${copied.rows} rows of ${copied.series} series.`);
  }
}

/** Copies, and compares the copy with what it was made of: nothing that is written meanwhile may be in either. */
function asOfOneMoment<Row extends object>(owner: OwnerSession, text: string, values: unknown[]): Promise<Row[]> {
  return owner.inTransaction(async () => {
    await owner.query("set transaction isolation level repeatable read");
    return owner.query<Row>(text, values);
  });
}

/** Gives way to whoever holds the table, and tries again. */
async function swap(
  owner: OwnerSession,
  { dataset, width, compress_after }: Unmoved,
  signal?: AbortSignal,
): Promise<void> {
  await owner.query(`set lock_timeout = '${SWAP_LOCK_TIMEOUT}'`);
  for (let tries = 1; ; tries++) {
    try {
      await owner.query("select store.end_move($1, $2, $3::interval)", [dataset, width, compress_after]);
      break;
    } catch (error) {
      if (!IN_THE_WAY.has(sqlstateOf(error)) || tries === SWAP_TRIES) throw error;
    }
    await sleep(SWAP_PAUSE_MS, undefined, { ...(signal && { signal }) });
  }
  await owner.query("set lock_timeout = 0");
}
