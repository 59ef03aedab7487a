/**
 * Retention on plain PostgreSQL. What will be dropped is announced in store.retired_partitions first; then the partition
 * is detached beside all other work, its rows are counted when nobody can write to it any more, and it is dropped in the
 * transaction that records so. A crash at any point leaves a state from which the same call goes on. A table that
 * somebody else detached is never touched.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "../../errors/store-error.ts";
import { identifier } from "../identifier.ts";
import { type OwnerSession, withOwner } from "../owner-session.ts";
import { utcText } from "../utc-text.ts";
import type { ApplyRetentionOptions, DroppedPartition, Partition, RetentionPlan } from "./engine.ts";
import {
  bare,
  LOCK_NOT_AVAILABLE,
  lockRetention,
  RETENTION_TIMEOUT_MS,
  recordOf,
  type Span,
  sqlstateOf,
} from "./retention-plan.ts";

/** Finishing a detach holds up whoever makes a partition, so it gives way after this time and tries again. */
const FINALIZE_LOCK_TIMEOUT = "1s";
const FINALIZE_PAUSE_MS = 1_000;
const FINALIZE_PATIENCE_MS = 1_800_000;

/** Another partition of the table is being detached. */
const WRONG_STATE = "55000";

/** Drops what the plan lists, one after the other. */
export function applyRetention(
  adminUrl: string,
  plan: RetentionPlan,
  { signal, onDropped }: ApplyRetentionOptions,
): Promise<DroppedPartition[]> {
  return withOwner({ adminUrl, signal, statementTimeoutMs: RETENTION_TIMEOUT_MS }, async (owner) => {
    await lockRetention(owner);
    await forgetUnbegun(owner);
    const dropped: DroppedPartition[] = [];
    for (const partition of plan.partitions) {
      const gone = await retire(owner, plan, partition, signal);
      if (gone === undefined) continue;
      dropped.push(gone);
      await onDropped?.(gone);
    }
    return dropped;
  });
}

/** What was announced and not begun, or is gone by another's hand: it must not pass for ours later. */
async function forgetUnbegun(owner: OwnerSession): Promise<void> {
  await owner.query(
    `delete from store.retired_partitions r
     where r.dropped_at is null and (
       to_regclass(format('store.%I', r.partition_name)) is null
       or exists (
         select from pg_inherits i
         where i.inhrelid = to_regclass(format('store.%I', r.partition_name)) and not i.inhdetachpending
       )
     )`,
  );
}

/** From whatever state it is in to being gone; undefined when it is not to be dropped. */
async function retire(
  owner: OwnerSession,
  plan: RetentionPlan,
  partition: Partition,
  signal: AbortSignal | undefined,
): Promise<DroppedPartition | undefined> {
  const state = await stateOf(owner, partition);
  if (state === "gone") return recordOf(owner, plan, partition);
  if (state === "foreign") return undefined;
  const startedAt = performance.now();
  if (state === "attached") {
    if (!(await announce(owner, plan, partition))) return undefined;
    await detach(owner, partition);
  }
  if (state === "detaching") await finalize(owner, partition, signal);
  const detach_ms = state === "attached" ? Math.round(performance.now() - startedAt) : null;
  const span = await countSpan(owner, partition);
  const countedAt = performance.now();
  await drop(owner, partition, span);
  return { ...bare(partition), ...span, detach_ms, drop_ms: Math.round(performance.now() - countedAt) };
}

/** `foreign`: it is detached, or being so, and not by a retention. */
type State = "attached" | "detaching" | "detached" | "gone" | "foreign";

async function stateOf(owner: OwnerSession, { dataset, partition, range_start, range_end }: Partition): Promise<State> {
  const [row] = await owner.query<{ detaching: boolean | null; exists: boolean; announced: boolean }>(
    `select
       (select a.detaching from store.all_partitions($1) a
        where a.partition_name = $2 and a.range_start = $3::timestamptz and a.range_end = $4::timestamptz) as detaching,
       to_regclass(format('store.%I', $2)) is not null as exists,
       exists (
         select from store.retired_partitions r
         where r.partition_name = $2 and r.range_start = $3::timestamptz and r.range_end = $4::timestamptz
           and r.dropped_at is null
       ) as announced`,
    [dataset, partition, range_start, range_end],
  );
  const { detaching, exists, announced } = row!;
  if (detaching === false) return "attached";
  if (announced && exists) return detaching === true ? "detaching" : "detached";
  return detaching === true ? "foreign" : "gone";
}

/** Writes down that the partition will be dropped; false when the policy keeps it after all. */
async function announce(owner: OwnerSession, { as_of }: RetentionPlan, partition: Partition): Promise<boolean> {
  const rows = await owner.query(
    `insert into store.retired_partitions (dataset, partition_name, range_start, range_end)
     select p.dataset, a.partition_name, a.range_start, a.range_end
     from store.policies p cross join lateral store.all_partitions(p.dataset) a
     where p.dataset = $1 and a.partition_name = $2 and a.range_end <= $3::timestamptz - p.keep_for
     returning retirement_id`,
    [partition.dataset, partition.partition, as_of],
  );
  return rows.length === 1;
}

async function detach(owner: OwnerSession, { dataset, partition }: Partition): Promise<void> {
  try {
    await owner.query(
      `alter table store.${identifier(`${dataset}_data`)} detach partition store.${identifier(partition)} concurrently`,
    );
  } catch (cause) {
    if (sqlstateOf(cause) !== WRONG_STATE) throw cause;
    throw new StoreError(
      "database_conflict",
      `Another partition of ${dataset} is being detached; finish that with \`alter table … detach partition … finalize\` if it was by hand, or run retention for all datasets.`,
      { cause },
    );
  }
}

/** Ends what a killed attempt began. It waits for the sessions that may still see the partition. */
async function finalize(
  owner: OwnerSession,
  { dataset, partition }: Partition,
  signal: AbortSignal | undefined,
): Promise<void> {
  const deadline = performance.now() + FINALIZE_PATIENCE_MS;
  await owner.query(`set lock_timeout = '${FINALIZE_LOCK_TIMEOUT}'`);
  for (;;) {
    try {
      await owner.query(
        `alter table store.${identifier(`${dataset}_data`)} detach partition store.${identifier(partition)} finalize`,
      );
      break;
    } catch (error) {
      if (sqlstateOf(error) !== LOCK_NOT_AVAILABLE || performance.now() > deadline) throw error;
    }
    await sleep(FINALIZE_PAUSE_MS, undefined, { ...(signal && { signal }) });
  }
  await owner.query("set lock_timeout = 0");
}

async function drop(owner: OwnerSession, { partition }: Partition, span: Span): Promise<void> {
  await owner.inTransaction(async () => {
    await owner.query(`drop table store.${identifier(partition)}`);
    await owner.query(
      `update store.retired_partitions
       set dropped_at = clock_timestamp(), row_count = $2, first_time = $3::timestamptz, last_time = $4::timestamptz
       where partition_name = $1 and dropped_at is null`,
      [partition, span.rows, span.first_time, span.last_time],
    );
  });
}

/** Reads the whole table: its key begins with the series. */
export async function countSpan(owner: OwnerSession, { dataset, partition }: Partition): Promise<Span> {
  const [parent] = await owner.query<{ time: string }>(
    `select a.attname::text as time from pg_partitioned_table t
     join pg_attribute a on a.attrelid = t.partrelid and a.attnum = t.partattrs[0]
     where t.partrelid = to_regclass(format('store.%I', $1 || '_data'))`,
    [dataset],
  );
  const time = identifier(parent!.time);
  const [row] = await owner.query<Omit<Span, "rows"> & { rows: bigint }>(
    `select count(*) as rows, ${utcText(`min(${time})`)} as first_time, ${utcText(`max(${time})`)} as last_time
     from store.${identifier(partition)}`,
  );
  return { ...row!, rows: Number(row!.rows) };
}
