/** The tables as they are filled: partitions ahead, those half detached, dead rows, indexes that are not used. */
import { openEngine } from "../engine/open-engine.ts";
import { identifier } from "../identifier.ts";
import { withOwner } from "../owner-session.ts";
import { type Check, type Examination, type Finding, named } from "./finding.ts";

/** The current partition and the next one: what is not made by a job is made by whoever writes first, and waits for it. */
const PERIODS_AHEAD = 1;
/** Fewer dead rows are no bloat whatever their share. */
const FEW_DEAD_ROWS = 10_000;
/** Autovacuum begins at a fifth; twice that means that it does not keep up or is held back. */
const MAX_DEAD_SHARE = 0.4;
const LOCK_TIMEOUT = "5s";

export const checkPartitions: Check = async ({ ask, adminUrl }) => {
  const rows = await ask<{ dataset: string }>(
    `select p.dataset from store.policies p
     -- A hypertable, whose width is in days, makes its chunks itself.
     where p.enabled and case when p.partition_width in ('month', 'year') then cardinality(store.uncovered(p.dataset, array(
       select date_trunc(p.partition_width, now()) + ahead * ('1 ' || p.partition_width)::interval
       from generate_series(0, $1::int4) ahead
     ))) > 0 end
     order by p.dataset collate "C"`,
    [PERIODS_AHEAD],
    { asOwner: true },
  );
  if (rows.length === 0) return [];
  return [
    {
      code: "partition_missing",
      severity: "warning",
      message: `The partition of now or the next one is missing of ${named(
        rows.map(({ dataset }) => dataset),
        10,
      )}.`,
      remedy: "Run the job make-partitions, or `mds doctor --fix`.",
      fix: async () => {
        const made = await (await openEngine(adminUrl)).makePartitions({ periodsAhead: PERIODS_AHEAD });
        return `Made ${made.length} partitions.`;
      },
    },
  ];
};

export const checkDetaching: Check = async ({ ask, adminUrl }) => {
  const rows = await ask<{ parent: string; child: string }>(
    `select p.relname as parent, c.relname as child
     from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
     where i.inhdetachpending and p.relnamespace = 'store'::regnamespace order by 2`,
  );
  return rows.map(({ parent, child }): Finding => {
    const sql = `alter table store.${identifier(parent)} detach partition store.${identifier(child)} finalize`;
    return {
      code: "detach_pending",
      severity: "error",
      message: `Detaching the partition store.${child} was begun and not ended: its rows are out of sight, and none can be made in its place.`,
      remedy: `Run as mds_owner: ${sql}.`,
      fix: async () => {
        await withOwner({ adminUrl }, async (owner) => {
          await owner.query(`set lock_timeout = '${LOCK_TIMEOUT}'`);
          await owner.query(sql);
        });
        return `Detached store.${child}; the table is still there, for retention or a person to drop.`;
      },
    };
  });
};

export const checkIndexes: Check = async ({ ask, adminUrl }) => {
  const rows = await ask<{ name: string; schema: string; table: string; droppable: boolean }>(
    `select n.nspname as schema, i.relname as name, t.relname as table,
       i.relkind = 'i' and not exists (select from pg_constraint c where c.conindid = i.oid)
         and not exists (select from pg_inherits h where h.inhrelid = i.oid) as droppable
     from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
     join pg_namespace n on n.oid = i.relnamespace
     where not x.indisvalid and n.nspname in ('store', 'pgboss') order by 1, 2`,
  );
  return rows.map(({ schema, name, table, droppable }): Finding => {
    const index = `${identifier(schema)}.${identifier(name)}`;
    const finding: Finding = {
      code: "index_invalid",
      severity: "error",
      message: `The index ${schema}.${name} of ${table} is invalid: it is kept up and never used.`,
      remedy: droppable
        ? `Drop it (drop index ${index}) and make it again where it is wanted.`
        : `Build it anew: reindex index concurrently ${index}.`,
    };
    if (!droppable) return finding;
    const fix = async (): Promise<string> => {
      await withOwner({ adminUrl }, async (owner) => {
        await owner.query(`set lock_timeout = '${LOCK_TIMEOUT}'`);
        await owner.query(`drop index ${index}`);
      });
      return `Dropped the index ${schema}.${name}.`;
    };
    return { ...finding, fix };
  });
};

export const checkBloat: Check = async ({ ask }: Examination) => {
  const rows = await ask<{ name: string; dead: bigint; live: bigint; vacuumed: string | null }>(
    `select schemaname || '.' || relname as name, n_dead_tup as dead, n_live_tup as live,
       to_char(greatest(last_vacuum, last_autovacuum) at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') as vacuumed
     from pg_stat_user_tables
     where schemaname in ('store', 'pgboss') and n_dead_tup > $1::int8 and n_dead_tup > $2::float8 * (n_live_tup + n_dead_tup)
     order by n_dead_tup desc`,
    [FEW_DEAD_ROWS, MAX_DEAD_SHARE],
  );
  return rows.map(({ name, dead, live, vacuumed }): Finding => {
    const share = Math.round((Number(dead) / Number(dead + live)) * 100);
    const last = vacuumed === null ? "it was never vacuumed" : `it was last vacuumed at ${vacuumed}`;
    return {
      code: "bloat",
      severity: "warning",
      message: `${share} % of the rows of ${name} are dead (${dead} beside ${live}); ${last}.`,
      remedy: `Run vacuum (analyze) ${name}, and look for transactions that stay open for hours.`,
    };
  });
};
