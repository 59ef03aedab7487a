/**
 * What retention is on every engine: which partitions are due, one retention at a time, and what an earlier attempt has
 * dropped already. How a partition goes is the engine's.
 */
import { StoreError } from "../../errors/store-error.ts";
import { type OwnerSession, withOwner } from "../owner-session.ts";
import { utcText } from "../utc-text.ts";
import type { DroppedPartition, DuePartition, Partition, PlanRetentionOptions, RetentionPlan } from "./engine.ts";
import { readPolicyRows } from "./policy-rows.ts";

/** A plan has to fit into the ledger's metadata, 1 MB; its partitions take some 250 bytes each. */
const MAX_PARTITIONS_PER_PLAN = 1_000;
/** For reading all of a large partition from a slow disk, and for the readers that a detach waits for; nobody waits for us meanwhile. */
export const RETENTION_TIMEOUT_MS = 1_800_000;
/** Key of the advisory lock: "reti". */
const LOCK_KEY = 1_919_251_561;
/** The server ends what a killed process had under way within seconds. */
const LOCK_TIMEOUT = "30s";
export const LOCK_NOT_AVAILABLE = "55P03";

/** What is in a partition. */
export interface Span {
  readonly rows: number;
  readonly first_time: string | null;
  readonly last_time: string | null;
}

/** What is due, those first whose dropping was begun before. Changes nothing. */
export function planRetention(
  adminUrl: string,
  { datasets, now, countRows = true, signal }: PlanRetentionOptions,
  countSpan: (owner: OwnerSession, partition: Partition) => Promise<Span>,
): Promise<RetentionPlan> {
  return withOwner({ adminUrl, signal, statementTimeoutMs: RETENTION_TIMEOUT_MS }, async (owner) => {
    const names = (await readPolicyRows(owner, datasets)).map(({ dataset }) => dataset);
    const [times] = await owner.query<{ planned_at: string; as_of: string }>(
      `select ${utcText("now()")} as planned_at, ${utcText("coalesce($1::timestamptz, now())")} as as_of`,
      [now ?? null],
    );
    const { planned_at, as_of } = times!;
    const due = await readDue(owner, names, as_of);
    const partitions: DuePartition[] = [];
    for (const partition of due.slice(0, MAX_PARTITIONS_PER_PLAN)) {
      const span = countRows ? await countSpan(owner, partition) : { rows: null, first_time: null, last_time: null };
      partitions.push({ ...partition, ...span });
    }
    return { planned_at, as_of, partitions, more: due.length - partitions.length };
  });
}

/** Attached partitions behind their policy, and those whose dropping was announced and begun. */
function readDue(owner: OwnerSession, datasets: readonly string[], asOf: string): Promise<Partition[]> {
  return owner.query<Partition>(
    `select d.dataset, d.partition_name as partition,
       ${utcText("d.range_start")} as range_start, ${utcText("d.range_end")} as range_end
     from (
       select p.dataset, a.partition_name, a.range_start, a.range_end, false as begun
       from store.policies p cross join lateral store.all_partitions(p.dataset) a
       where not a.detaching and a.range_end <= $2::timestamptz - p.keep_for
       union all
       select r.dataset, r.partition_name, r.range_start, r.range_end, true
       from store.retired_partitions r
       where r.dropped_at is null and to_regclass(format('store.%I', r.partition_name)) is not null
         and not exists (
           select from pg_inherits i
           where i.inhrelid = to_regclass(format('store.%I', r.partition_name)) and not i.inhdetachpending
         )
     ) d
     where d.dataset = any ($1)
     order by d.begun desc, d.range_start, d.dataset collate "C"`,
    [datasets, asOf],
  );
}

/** One retention at a time; the lock ends with the connection. */
export async function lockRetention(owner: OwnerSession): Promise<void> {
  await owner.query(`set lock_timeout = '${LOCK_TIMEOUT}'`);
  try {
    await owner.query("select pg_advisory_lock($1)", [LOCK_KEY]);
  } catch (cause) {
    if (sqlstateOf(cause) !== LOCK_NOT_AVAILABLE) throw cause;
    throw new StoreError("database_conflict", "Another retention is still at work; try again later.", { cause });
  }
  await owner.query("set lock_timeout = 0");
}

/** What an earlier attempt at this plan dropped. */
export async function recordOf(
  owner: OwnerSession,
  { planned_at }: RetentionPlan,
  partition: Partition,
): Promise<DroppedPartition | undefined> {
  const [row] = await owner.query<{ rows: bigint; first_time: string | null; last_time: string | null }>(
    `select r.row_count as rows, ${utcText("r.first_time")} as first_time, ${utcText("r.last_time")} as last_time
     from store.retired_partitions r
     where r.dataset = $1 and r.partition_name = $2 and r.dropped_at >= $3::timestamptz
     order by r.dropped_at desc limit 1`,
    [partition.dataset, partition.partition, planned_at],
  );
  return row && { ...bare(partition), ...row, rows: Number(row.rows), detach_ms: null, drop_ms: null };
}

/** Without what was counted. */
export const bare = ({ dataset, partition, range_start, range_end }: Partition): Partition => ({
  dataset,
  partition,
  range_start,
  range_end,
});

/** Of an error of the database. */
export function sqlstateOf(error: unknown): unknown {
  return error instanceof StoreError ? error.details["sqlstate"] : undefined;
}
