/** One read of the store beside a COPY of what answers it, which nobody decodes, and beside the same read by hand. */
import { drainCopy } from "../database/copy-stream.ts";
import { CLIENT_APPLICATION, OWNER_APPLICATION } from "./bench-database.ts";
import type { HandValue, HandWrittenWays } from "./hand-written.ts";
import type { BenchContext, Figure } from "./scenario.ts";
import { readFigure, type Turn, takeTurns } from "./turns.ts";

export interface ReadComparison {
  /** Rows that are read. */
  readonly rows: number;
  readonly rounds: number;
  /** The owner's `copy … to stdout`. */
  readonly copy: string;
  /** Reads through the store, by their names. */
  readonly store: Readonly<Record<string, () => Promise<unknown>>>;
  readonly byHand: { readonly statement: string; readonly values: readonly HandValue[] };
}

const COPY = "the owner's COPY, not decoded";

/** Reads in turns; a figure each, with its name as `read`. */
export async function readBeside(
  { database: { owner }, signal }: BenchContext,
  { ways }: HandWrittenWays,
  { rows, rounds, copy, store, byHand }: ReadComparison,
): Promise<Figure[]> {
  const read = { rows, application: CLIENT_APPLICATION };
  const turns: Record<string, Turn> = {
    [COPY]: { rows, application: OWNER_APPLICATION, run: () => drainCopy(owner, copy) },
  };
  for (const [name, run] of Object.entries(store)) turns[name] = { ...read, run };
  for (const { name, select } of ways) turns[name] = { ...read, run: () => select(byHand.statement, byHand.values) };
  const taken = await takeTurns(owner, signal, rounds, turns);
  return Object.entries(taken).map(([read, one]) => ({ read, ...readFigure(one, taken[COPY]!) }));
}

/** The slowest of the reads of that name, of the median. */
export function slowest(figures: readonly Figure[], read: string, figure: "warm_ms" | "times_copy"): number {
  return Math.max(...figures.filter((one) => one["read"] === read).map((one) => one[figure] as number));
}
