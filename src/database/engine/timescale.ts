/**
 * The engine on TimescaleDB: partitions are chunks, which the hypertable makes when a row needs one. A chunk that is due
 * is counted and dropped in one transaction, so that no attempt leaves anything half done. Compression goes on by a job
 * of TimescaleDB's own; the call here does at once what that job would.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { identifier } from "../identifier.ts";
import { type OwnerSession, withOwner } from "../owner-session.ts";
import { utcText } from "../utc-text.ts";
import {
  type ApplyRetentionOptions,
  CAPABILITIES,
  type CompressionReport,
  type CompressOptions,
  type DroppedPartition,
  type Engine,
  type Partition,
  type PlanRetentionOptions,
  type RetentionPlan,
} from "./engine.ts";
import { plainEngine } from "./plain.ts";
import { readPolicyRows } from "./policy-rows.ts";
import {
  bare,
  LOCK_NOT_AVAILABLE,
  lockRetention,
  planRetention,
  RETENTION_TIMEOUT_MS,
  recordOf,
  type Span,
  sqlstateOf,
} from "./retention-plan.ts";

/** Whoever reads a chunk holds up its dropping, and that holds up other readers: it gives way and tries again. */
const DROP_LOCK_TIMEOUT = "1s";
const DROP_PAUSE_MS = 1_000;
const DROP_PATIENCE_MS = 1_800_000;

/**
 * The engine for one database.
 *
 * @param adminUrl - direct connection of a login that is a member of mds_owner.
 */
export function timescaleEngine(adminUrl: string): Engine {
  return {
    name: "timescale",
    capabilities: CAPABILITIES.timescale,
    makePartitions: async (options) => {
      const datasets = await datasetsIn("partitions", adminUrl, options);
      return datasets.length === 0 ? [] : plainEngine(adminUrl).makePartitions({ ...options, datasets });
    },
    planRetention: async (options = {}) => {
      const datasets = await datasetsIn("hypertables", adminUrl, options);
      return planRetention(adminUrl, { ...options, datasets }, countSpan);
    },
    applyRetention: (plan, options = {}) => applyRetention(adminUrl, plan, options),
    compress: ({ signal, ...options } = {}) =>
      withOwner({ adminUrl, signal, statementTimeoutMs: RETENTION_TIMEOUT_MS }, (owner) => compress(owner, options)),
  };
}

/** What a move has not reached yet is in PostgreSQL's partitions: these are made ahead, and dropped only when it has. */
function datasetsIn(
  form: "partitions" | "hypertables",
  adminUrl: string,
  { datasets, signal }: PlanRetentionOptions,
): Promise<string[]> {
  return withOwner({ adminUrl, signal }, async (owner) => {
    const names = (await readPolicyRows(owner, datasets)).map(({ dataset }) => dataset);
    const rows = await owner.query<{ dataset: string }>(
      "select n as dataset from unnest($1::text[]) n where store.is_hypertable(n) = $2",
      [names, form === "hypertables"],
    );
    return rows.map(({ dataset }) => dataset);
  });
}

function applyRetention(
  adminUrl: string,
  plan: RetentionPlan,
  { signal, onDropped }: ApplyRetentionOptions,
): Promise<DroppedPartition[]> {
  return withOwner({ adminUrl, signal, statementTimeoutMs: RETENTION_TIMEOUT_MS }, async (owner) => {
    await lockRetention(owner);
    await owner.query(`set lock_timeout = '${DROP_LOCK_TIMEOUT}'`);
    const dropped: DroppedPartition[] = [];
    for (const partition of plan.partitions) {
      const gone = (await dropPatiently(owner, plan, partition, signal)) ?? (await recordOf(owner, plan, partition));
      if (gone === undefined) continue;
      dropped.push(gone);
      await onDropped?.(gone);
    }
    return dropped;
  });
}

/** Undefined when it is gone already, or the policy keeps it after all. */
async function dropPatiently(
  owner: OwnerSession,
  plan: RetentionPlan,
  partition: Partition,
  signal: AbortSignal | undefined,
): Promise<DroppedPartition | undefined> {
  const deadline = performance.now() + DROP_PATIENCE_MS;
  for (;;) {
    try {
      return await owner.inTransaction(() => drop(owner, plan, partition));
    } catch (error) {
      if (sqlstateOf(error) !== LOCK_NOT_AVAILABLE || performance.now() > deadline) throw error;
    }
    await sleep(DROP_PAUSE_MS, undefined, { ...(signal && { signal }) });
  }
}

/** Announced, counted and dropped at once; writers to this chunk wait from the counting on. */
async function drop(
  owner: OwnerSession,
  { as_of }: RetentionPlan,
  partition: Partition,
): Promise<DroppedPartition | undefined> {
  const startedAt = performance.now();
  const [retired] = await owner.query<{ id: bigint }>(
    `insert into store.retired_partitions (dataset, partition_name, range_start, range_end)
     select p.dataset, a.partition_name, a.range_start, a.range_end
     from store.policies p cross join lateral store.all_partitions(p.dataset) a
     where p.dataset = $1 and a.partition_name = $2 and a.range_end <= $3::timestamptz - p.keep_for
     returning retirement_id as id`,
    [partition.dataset, partition.partition, as_of],
  );
  if (retired === undefined) return undefined;
  const chunk = await tableOf(owner, partition);
  await owner.query(`lock table ${chunk} in share mode`);
  const span = await countSpan(owner, partition);
  await owner.query(`drop table ${chunk}`);
  await owner.query(
    `update store.retired_partitions
     set dropped_at = clock_timestamp(), row_count = $2, first_time = $3::timestamptz, last_time = $4::timestamptz
     where retirement_id = $1`,
    [retired.id, span.rows, span.first_time, span.last_time],
  );
  return { ...bare(partition), ...span, detach_ms: Math.round(performance.now() - startedAt), drop_ms: 0 };
}

/** A chunk's name as SQL. */
async function tableOf(owner: OwnerSession, { partition, dataset }: Partition): Promise<string> {
  const [row] = await owner.query<{ schema: string }>(
    `select c.chunk_schema::text as schema from timescaledb_information.chunks c
     where c.chunk_name = $1 and c.hypertable_schema = 'store' and c.hypertable_name = $2`,
    [partition, `${dataset}_data`],
  );
  return `${identifier(row!.schema)}.${identifier(partition)}`;
}

/** By the hypertable, whose plan knows which chunk the range is. */
async function countSpan(owner: OwnerSession, { dataset, range_start, range_end }: Partition): Promise<Span> {
  const table = `${dataset}_data`;
  const [dimension] = await owner.query<{ time: string }>(
    `select d.column_name::text as time from timescaledb_information.dimensions d
     where d.hypertable_schema = 'store' and d.hypertable_name = $1`,
    [table],
  );
  const time = identifier(dimension!.time);
  const [row] = await owner.query<Omit<Span, "rows"> & { rows: bigint }>(
    `select count(*) as rows, ${utcText(`min(${time})`)} as first_time, ${utcText(`max(${time})`)} as last_time
     from store.${identifier(table)} where ${time} >= $1::timestamptz and ${time} < $2::timestamptz`,
    [range_start, range_end],
  );
  return { ...row!, rows: Number(row!.rows) };
}

interface DueChunk extends Partition {
  /** As SQL. */
  readonly chunk: string;
  readonly is_compressed: boolean;
}

/**
 * Chunk by chunk, each in a transaction of its own. One that is compressed already takes in what was added since; one
 * that retention is about to drop is left to it.
 */
async function compress(
  owner: OwnerSession,
  { datasets, isDryRun = false }: CompressOptions,
): Promise<CompressionReport> {
  const wanting = (await readPolicyRows(owner, datasets)).filter(({ compresses }) => compresses);
  const due = await owner.query<DueChunk>(
    `select p.dataset, c.chunk_name::text as partition, ${utcText("c.range_start")} as range_start,
       ${utcText("c.range_end")} as range_end, format('%I.%I', c.chunk_schema, c.chunk_name) as chunk, c.is_compressed
     from store.policies p
     join timescaledb_information.chunks c on c.hypertable_schema = 'store' and c.hypertable_name = p.dataset || '_data'
     where p.dataset = any ($1) and c.range_end <= now() - p.compress_after
       and (p.keep_for is null or c.range_end > now() - p.keep_for)
     order by p.dataset collate "C", c.range_start`,
    [wanting.map(({ dataset }) => dataset)],
  );
  const [extension] = await owner.query<{ schema: string }>("select store.timescale_schema()::text as schema");
  for (const { chunk } of isDryRun ? [] : due) {
    await owner.query(`select ${identifier(extension!.schema)}.compress_chunk($1::regclass)`, [chunk]);
  }
  return { compressed: due.filter(({ is_compressed }) => !is_compressed).map(bare), skipped: [] };
}
