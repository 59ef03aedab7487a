/**
 * Fresh row objects, and the same ones again, through the public client beside a binary COPY of the same rows, encoded before,
 * into the same table, and beside the ways by hand; for loads of different shapes. All of it is done in turns.
 */
import type { Store } from "../../client/open-store.ts";
import type { TrustedDataset } from "../../client/trusted-load.ts";
import type { AnyColumnBatch } from "../../client/upsert-columns.ts";
import type { BarColumns } from "../bar-columns.ts";
import { halvesOf, makeBars, SHAPES, type Shape } from "../bar-load.ts";
import { CLIENT_APPLICATION, OWNER_APPLICATION } from "../bench-database.ts";
import { copyBars, emptyBars, encodeBars } from "../copy-limit.ts";
import { emptyByHand, HAND_ROWS, type HandWrittenWays, withHandWritten } from "../hand-written.ts";
import {
  type BenchContext,
  dropBars,
  REPETITIONS,
  type Scenario,
  type ScenarioReport,
  settle,
  type Target,
  withBenchStore,
  withTrustedBars,
} from "../scenario.ts";
import { percent, rateFigure, ratioOf, type Taken, type Turn, takeTurns } from "../turns.ts";

const FRESH = "fresh";
const FRESH_TWO = "fresh, 2 connections";
const REPLAYED = "replayed";
const TRUSTED = "trusted";
/** The least shares of COPY. */
const FLOORS: Readonly<Record<string, number>> = { [FRESH]: 0.45, [FRESH_TWO]: 0.75, [REPLAYED]: 0.8, [TRUSTED]: 0.9 };
/** How many times the better of the ways by hand. */
const TIMES_BY_HAND: Readonly<Record<string, number>> = { [FRESH]: 4, [TRUSTED]: 8 };

export const ingest: Scenario = {
  name: "ingest",
  title: "upsert of row objects, COPY of the same rows by the owner, and the ways by hand",
  run: (context) =>
    withHandWritten(context, async (hand) => {
      const reports: ScenarioReport[] = [];
      for (const shape of Object.keys(SHAPES) as Shape[]) {
        const run = (store: Store, load: TrustedDataset) => runShape(context, { store, load, hand, shape });
        reports.push(await withBenchStore(context, (store) => withTrustedBars(context, (load) => run(store, load))));
      }
      return {
        figures: reports.flatMap(({ figures }) => figures),
        targets: reports.flatMap(({ targets }) => targets),
        notes: [
          `By hand at most ${HAND_ROWS} of the rows are written, into a table of their own: it is slower the more there are.`,
          ...hand.notes,
          ...reports.flatMap(({ notes }) => notes),
        ],
      };
    }),
};

interface Load {
  readonly store: Store;
  readonly load: TrustedDataset;
  readonly hand: HandWrittenWays;
  readonly shape: Shape;
}

async function runShape(context: BenchContext, { store, load, hand: { ways }, shape }: Load): Promise<ScenarioReport> {
  const { owner } = context.database;
  const bars = makeBars(context.rows, shape);
  const halves = halvesOf(bars, shape);
  const columns = bars.toBatch();
  await dropBars(owner);
  // Makes series and partitions, which COPY needs, and warms up both sides.
  await store.bars.upsert(bars, { signal: context.signal });
  const encoded = await encodeBars(owner, bars);
  const one = (): Promise<unknown> => store.bars.upsert(bars, { signal: context.signal });
  const two = (): Promise<unknown> =>
    Promise.all(halves.map((half) => store.bars.upsert(half, { signal: context.signal })));
  const empty = { rows: bars.length, application: CLIENT_APPLICATION, prepare: () => emptyBars(owner) };
  const again = { ...empty, prepare: () => settle(owner) };
  const turns: Record<string, Turn> = {
    copy: { ...empty, application: OWNER_APPLICATION, run: () => copyBars(owner, encoded, context.signal) },
    [FRESH]: { ...empty, run: one },
    [REPLAYED]: { ...again, run: one },
    [FRESH_TWO]: { ...empty, run: two },
    "replayed, 2 connections": { ...again, run: two },
    [TRUSTED]: { ...empty, run: () => load.upsert(bars, { signal: context.signal }) },
    "fresh, columns": { ...empty, run: () => store.bars.upsertColumns(columns, { signal: context.signal }) },
    "trusted, columns": {
      ...empty,
      run: () => load.upsertColumns(columns as AnyColumnBatch, { signal: context.signal }),
    },
    "trusted, again": { ...again, run: () => load.upsert(bars, { signal: context.signal }) },
  };
  for (const { name, upsert } of ways) {
    const rows = Math.min(bars.length, HAND_ROWS);
    turns[name] = { ...empty, rows, prepare: () => emptyByHand(owner), run: () => upsert(bars.between(0, rows)) };
  }
  const taken = await takeTurns(owner, context.signal, REPETITIONS, turns);
  return {
    figures: Object.entries(taken).map(([variant, one]) => ({ shape, variant, ...rateFigure(one, taken["copy"]!) })),
    targets: targetsOf(
      shape,
      taken,
      ways.map(({ name }) => taken[name]!),
    ),
    notes: [`Making row objects ${shape} took ${takingUs(bars).toFixed(2)} us a row, which all but COPY hold.`],
  };
}

/** What taking the rows alone costs. */
function takingUs(bars: BarColumns): number {
  const startedAt = performance.now();
  let named = 0;
  for (const { symbol } of bars) named += symbol.length;
  return named === 0 ? 0 : ((performance.now() - startedAt) * 1_000) / bars.length;
}

function targetsOf(shape: Shape, taken: Readonly<Record<string, Taken>>, byHand: readonly Taken[]): Target[] {
  const ofCopy = Object.entries(FLOORS).map(([variant, floor]) => {
    const part = ratioOf(taken[variant]!, taken["copy"]!);
    return { text: `${shape}: ${variant} at ${percent(floor)} of COPY or more: ${percent(part)}`, met: part >= floor };
  });
  const ofHand = Object.entries(TIMES_BY_HAND).map(([variant, floor]) => {
    const times = Math.min(...byHand.map((way) => ratioOf(taken[variant]!, way)));
    const text = `${shape}: ${variant} at ${floor} times the better way by hand or more: ${times.toFixed(1)} times`;
    return { text, met: times >= floor };
  });
  return [...ofCopy, ...ofHand];
}
