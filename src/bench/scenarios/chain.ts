/** The option chain of one underlying at the last moment, beside `distinct on` by hand over the same snapshots. */
import { generateOptions } from "../generate-datasets.ts";
import { withHandWritten } from "../hand-written.ts";
import { readBeside } from "../read-beside.ts";
import { type BenchContext, type Scenario, withBenchStore } from "../scenario.ts";

/** Snapshots are larger than bars: a tenth of them says as much. */
const SHARE = 10;
const READS = 20;
const COLUMNS = "ts, bid, ask, last, iv, delta, gamma, theta, vega, rho, spot, oi, volume";
const HAND_OPTIONS = "by_hand.options";
const BY_HAND = `select distinct on (expiry, option_type, strike) expiry, option_type, strike, ${COLUMNS} from ${HAND_OPTIONS}
  where tenant = 'default' and vendor = $1 and symbol = $2 and expiry >= $3::timestamptz::date and ts <= $3
  order by expiry, option_type, strike, ts desc`;
const FILL = `create table ${HAND_OPTIONS} as
  select 'default'::text as tenant, s.vendor, s.symbol, s.expiry, s.option_type, s.strike, d.*
  from store.options_data d join store.options_series s using (series_id)`;
const KEY = `alter table ${HAND_OPTIONS} add primary key (tenant, vendor, symbol, expiry, option_type, strike, ts)`;

export const chain: Scenario = {
  name: "chain",
  title: "an option chain, the least the server needs for it, and distinct on by hand",
  run: (context) =>
    withHandWritten(context, (hand) =>
      withBenchStore(context, async (store) => {
        const { owner } = context.database;
        const count = Math.max(1_000, Math.round(context.rows / SHARE));
        await store.options.upsert(generateOptions(count), { signal: context.signal });
        for (const statement of [FILL, KEY, `vacuum analyze ${HAND_OPTIONS}`, "vacuum analyze store.options_data"]) {
          await owner.query(statement);
        }
        const at = await lastMoment(context);
        const contracts = (await store.options.chain({ symbol: "SIM", at })).length;
        const figures = await readBeside(context, hand, {
          rows: contracts,
          rounds: READS,
          copy: await copyStatement(context),
          store: { chain: () => store.options.chain({ symbol: "SIM", at }) },
          byHand: { statement: BY_HAND, values: ["generated", "SIM", at] },
        });
        return {
          figures: figures.map((figure) => ({ snapshots: count, contracts, ...figure })),
          targets: [],
          notes: hand.notes,
        };
      }),
    ),
};

async function lastMoment({ database: { owner } }: BenchContext): Promise<Date> {
  const { rows } = await owner.query<{ at: number }>(
    "select extract(epoch from max(ts))::float8 * 1000 as at from store.options_data",
  );
  return new Date(rows[0]!.at);
}

/** One probe of the index a contract. */
async function copyStatement({ database: { owner } }: BenchContext): Promise<string> {
  const { rows } = await owner.query<{ ids: string }>(
    "select string_agg(series_id::text, ', ') as ids from store.options_series",
  );
  return `copy (select l.* from unnest(array[${rows[0]!.ids}]) s (id), lateral (
    select ${COLUMNS} from store.options_data where series_id = s.id order by ts desc limit 1
  ) l) to stdout (format binary)`;
}
