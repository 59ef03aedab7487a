/** Replays identical rows and looks at what the server wrote for it, which should be nothing. */
import type { Connection } from "../../database/pool.ts";
import { CLIENT_APPLICATION } from "../bench-database.ts";
import { generateMarket } from "../generate-market.ts";
import {
  type BenchContext,
  dropBars,
  type Scenario,
  type ScenarioReport,
  SEED,
  SYMBOLS,
  settle,
  withBenchStore,
} from "../scenario.ts";

/** The server's own work goes on in the background: statistics, running transactions, a page of hints here and there. */
const NOISE_BYTES = 1_000_000;
/** Server processes report to the statistics when they end, which takes a moment. */
const GONE_DEADLINE_MS = 5_000;

interface Trace {
  readonly table_bytes: number;
  readonly dead_rows: number;
  readonly written_rows: number;
  readonly wal_bytes: number;
}

export const replay: Scenario = {
  name: "replay",
  title: "what a replay of identical rows writes",
  async run(context) {
    const { owner } = context.database;
    await dropBars(owner);
    const start = await traceOf(owner);
    await upsertAll(context);
    const loaded = await traceOf(owner);
    await settle(owner);
    const before = await traceOf(owner);
    await upsertAll(context);
    const after = await traceOf(owner);
    return report(grown(start, loaded), grown(before, after));
  },
};

async function upsertAll(context: BenchContext): Promise<void> {
  const market = { symbols: SYMBOLS, minutes: Math.ceil(context.rows / SYMBOLS), seed: SEED };
  await withBenchStore(context, (store) => store.bars.upsert(generateMarket(market), { signal: context.signal }));
}

async function traceOf(owner: Connection): Promise<Trace> {
  await clientsGone(owner);
  const { rows } = await owner.query<Record<keyof Trace, string>>(`
    select coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::text as table_bytes,
      coalesce(sum(s.n_dead_tup), 0)::text as dead_rows,
      coalesce(sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del), 0)::text as written_rows,
      pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::text as wal_bytes
    from pg_inherits i left join pg_stat_user_tables s on s.relid = i.inhrelid
    where i.inhparent = 'store.bars_data'::regclass`);
  const { table_bytes, dead_rows, written_rows, wal_bytes } = rows[0]!;
  return {
    table_bytes: Number(table_bytes),
    dead_rows: Number(dead_rows),
    written_rows: Number(written_rows),
    wal_bytes: Number(wal_bytes),
  };
}

async function clientsGone(owner: Connection): Promise<void> {
  const startedAt = performance.now();
  for (;;) {
    const { rowCount } = await owner.query(
      "select from pg_stat_activity where datname = current_database() and application_name = $1",
      [CLIENT_APPLICATION],
    );
    if (rowCount === 0 || performance.now() - startedAt > GONE_DEADLINE_MS) break;
  }
  await owner.query("select pg_stat_force_next_flush(), pg_stat_clear_snapshot()");
}

function grown(from: Trace, to: Trace): Trace {
  return {
    table_bytes: to.table_bytes - from.table_bytes,
    dead_rows: to.dead_rows - from.dead_rows,
    written_rows: to.written_rows - from.written_rows,
    wal_bytes: to.wal_bytes - from.wal_bytes,
  };
}

function report(fresh: Trace, replayed: Trace): ScenarioReport {
  const { table_bytes, dead_rows, written_rows, wal_bytes } = replayed;
  return {
    figures: [
      { rows: "fresh", ...fresh },
      { rows: "replayed", ...replayed },
    ],
    targets: [
      {
        text: `a replay writes no rows and leaves table and log as they are (log: ${wal_bytes} bytes)`,
        met: table_bytes === 0 && dead_rows === 0 && written_rows === 0 && wal_bytes < NOISE_BYTES,
      },
    ],
    notes: [],
  };
}
