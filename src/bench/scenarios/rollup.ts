/** Hourly bars of one series out of its minutes: from the aggregates that the store keeps, and by `date_bin` by hand. */

import { makeBars } from "../bar-load.ts";
import { COPY_COLUMNS } from "../encode-copy.ts";
import { symbolName } from "../generate-market.ts";
import { fillByHand, HAND_BARS, withHandWritten } from "../hand-written.ts";
import { readBeside } from "../read-beside.ts";
import { type Scenario, withBenchStore } from "../scenario.ts";
import { dropAll, refreshOnce } from "./aggregates.ts";

/** Two years of sessions; more says no more. */
const MAX_MINUTES = 200_000;
const READS = 20;
const SYMBOL = symbolName(0);
const BY_HAND = `select date_bin('1 hour', ts, '2000-01-01Z') as hour, (array_agg(open_price order by ts))[1] as open_price,
    max(high_price) as high_price, min(low_price) as low_price, (array_agg(close_price order by ts desc))[1] as close_price,
    sum(volume) as volume, sum(trade_count) as trade_count, sum(vwap * volume) / nullif(sum(volume), 0) as vwap
  from ${HAND_BARS} where tenant = 'default' and vendor = $1 and symbol = $2 and timeframe = '1m'
  group by hour order by hour`;

export const rollup: Scenario = {
  name: "rollup",
  title: "hourly bars of one series: kept aggregates, COPY of them, and date_bin by hand",
  run: (context) =>
    withHandWritten(context, (hand) =>
      withBenchStore(context, async (store) => {
        const { owner } = context.database;
        await dropAll(context);
        const bars = makeBars(Math.min(context.rows, MAX_MINUTES), "one series");
        await store.bars.upsert(bars, { signal: context.signal });
        await refreshOnce(context);
        await fillByHand(owner);
        await owner.query("vacuum analyze store.bars_1h_data");
        const series = { vendor: "generated", symbol: SYMBOL, timeframe: "1h" };
        const { length } = await store.bars.readColumns(series);
        const figures = await readBeside(context, hand, {
          rows: length,
          rounds: READS,
          copy: `copy (select ${COPY_COLUMNS} from store.bars_1h_data where series_id = (
              select series_id from store.bars_series where symbol = '${SYMBOL}' and timeframe = '1m'
            ) order by ts) to stdout (format binary)`,
          store: { readColumns: () => store.bars.readColumns(series) },
          byHand: { statement: BY_HAND, values: [series.vendor, SYMBOL] },
        });
        await dropAll(context);
        return {
          figures: figures.map((figure) => ({ minutes: bars.length, hours: length, ...figure })),
          targets: [],
          notes: ["The aggregates were up to date; `aggregates` measures what that takes.", ...hand.notes],
        };
      }),
    ),
};
