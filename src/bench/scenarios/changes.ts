/**
 * Rows that are there already: replayed, all corrected, and a mix of a third new, a third the same and a third corrected;
 * through the public client and by hand, beside a binary COPY of as many fresh rows into the empty table.
 */
import type { Store } from "../../client/open-store.ts";
import type { BarInput } from "../../datasets/bars.ts";
import type { BarColumns } from "../bar-columns.ts";
import { makeBars } from "../bar-load.ts";
import { CLIENT_APPLICATION, OWNER_APPLICATION } from "../bench-database.ts";
import { copyBars, emptyBars, encodeBars } from "../copy-limit.ts";
import { fillByHand, HAND_ROWS, type HandWritten, withHandWritten } from "../hand-written.ts";
import {
  type BenchContext,
  dropBars,
  type Figure,
  REPETITIONS,
  type Scenario,
  settle,
  withBenchStore,
} from "../scenario.ts";
import { rateFigure, type Turn, takeTurns } from "../turns.ts";

/** What becomes of the bar at a place; `isThere` tells of those that are stored before. */
interface Change {
  readonly isThere: (at: number) => boolean;
  readonly isCorrected: (at: number) => boolean;
}

const CHANGES: Readonly<Record<string, Change>> = {
  replay: { isThere: () => true, isCorrected: () => false },
  corrections: { isThere: () => true, isCorrected: () => true },
  mixed: { isThere: (at) => at % 3 !== 0, isCorrected: (at) => at % 3 === 1 },
};

export const changes: Scenario = {
  name: "changes",
  title: "replay, corrections and mixed rows, beside COPY of fresh rows and the ways by hand",
  run: (context) =>
    withHandWritten(context, ({ ways, notes }) =>
      withBenchStore(context, async (store) => {
        await dropBars(context.database.owner);
        const bars = makeBars(context.rows);
        await store.bars.upsert(bars, { signal: context.signal }); // Makes series and partitions.
        const figures: Figure[] = [];
        for (const name of Object.keys(CHANGES)) figures.push(...(await runChange(context, store, ways, bars, name)));
        return { figures, targets: [], notes };
      }),
    ),
};

async function runChange(
  context: BenchContext,
  store: Store,
  ways: readonly HandWritten[],
  bars: BarColumns,
  name: string,
): Promise<Figure[]> {
  const { signal, database } = context;
  const { owner } = database;
  const { isThere, isCorrected } = CHANGES[name]!;
  const all = await encodeBars(owner, bars);
  let place = 0;
  const before = await encodeBars(
    owner,
    bars.filter(() => isThere(place++)),
  );
  const load = async (): Promise<void> => {
    await emptyBars(owner);
    await copyBars(owner, before, signal);
    await settle(owner);
  };
  const changed = (rows: number): Iterable<BarInput> => corrected(bars.between(0, rows), isCorrected);
  const turn = { rows: bars.length, application: CLIENT_APPLICATION };
  const turns: Record<string, Turn> = {
    "copy, fresh": {
      ...turn,
      application: OWNER_APPLICATION,
      prepare: () => emptyBars(owner),
      run: () => copyBars(owner, all, signal),
    },
    upsert: { ...turn, prepare: load, run: () => store.bars.upsert(changed(bars.length), { signal }) },
  };
  for (const way of ways) {
    const rows = Math.min(bars.length, HAND_ROWS);
    const fill = async (): Promise<void> => {
      await load();
      await fillByHand(owner);
    };
    turns[way.name] = { ...turn, rows, prepare: fill, run: () => way.upsert(changed(rows)) };
  }
  const taken = await takeTurns(owner, signal, REPETITIONS, turns);
  return Object.entries(taken).map(([variant, one]) => ({
    rows: name,
    variant,
    ...rateFigure(one, taken["copy, fresh"]!),
  }));
}

function* corrected(bars: Iterable<BarInput>, isCorrected: (at: number) => boolean): Generator<BarInput> {
  let at = 0;
  for (const bar of bars) yield isCorrected(at++) ? { ...bar, volume: Number(bar.volume) + 1 } : bar;
}
