/**
 * Whether ratios of a run have got worse than the committed ones. A ratio is a share of a limit's speed: more is better. It is
 * lost when nearly all of a run's rounds say so; where the rounds are too far apart there is no verdict, and nothing fails.
 */

import { median as middle } from "../../src/bench/measure.ts";

/** One ratio as it was measured over several runs on a quiet machine. */
export interface CommittedRatio {
  readonly median: number;
  /** The least and the greatest median of a run. */
  readonly low: number;
  readonly high: number;
}

export type CommittedRatios = Readonly<Record<string, CommittedRatio>>;

/** The ratios of one run, a value a round; null where it could not be measured here. */
export type MeasuredRatios = Readonly<Record<string, readonly number[] | null>>;

type Verdict = "as before" | "better" | "worse" | "no verdict";

export interface Comparison {
  readonly name: string;
  readonly committed: CommittedRatio;
  /** Null where it was not measured. */
  readonly median: number | null;
  /** Between which the true median is, of 100 times 95 or more. */
  readonly interval: readonly [number, number] | null;
  readonly verdict: Verdict;
}

/** How far outside the measured spread a ratio may be, as a part of its median: machines and days differ. */
export const MARGIN = 0.15;
/** The interval of fewer would not hold that often. */
export const MIN_ROUNDS = 6;
/** An interval wider than this part of the median says nothing. */
const WIDEST = 0.5;

/** Compares a run with what was committed, name by name; names that only the run has are left out. */
export function compareRatios(committed: CommittedRatios, measured: MeasuredRatios): Comparison[] {
  return Object.entries(committed).map(([name, before]) => {
    const rounds = measured[name];
    if (rounds == null || rounds.length < MIN_ROUNDS) {
      return { name, committed: before, median: null, interval: null, verdict: "no verdict" };
    }
    const sorted = rounds.toSorted((a, b) => a - b);
    const median = middle(sorted);
    const interval = medianInterval(sorted);
    return { name, committed: before, median, interval, verdict: verdictOf(before, median, interval) };
  });
}

/** Names that two runs, one after the other, both found worse. */
export function confirmedLosses(first: readonly Comparison[], second: readonly Comparison[]): string[] {
  const isWorse = ({ verdict }: Comparison): boolean => verdict === "worse";
  const again = new Set(second.filter(isWorse).map(({ name }) => name));
  return first.filter(isWorse).flatMap(({ name }) => (again.has(name) ? [name] : []));
}

/** What to commit after several runs; a ratio that some run could not measure is left out. */
export function committedRatios(runs: readonly MeasuredRatios[]): CommittedRatios {
  const names = Object.keys(runs[0] ?? {}).filter((name) => runs.every((run) => run[name] != null));
  return Object.fromEntries(
    names.map((name) => {
      const medians = runs.map((run) => middle(run[name]!)).toSorted((a, b) => a - b);
      return [name, { median: rounded(middle(medians)), low: rounded(medians[0]!), high: rounded(medians.at(-1)!) }];
    }),
  );
}

function verdictOf(
  { median: before, low, high }: CommittedRatio,
  median: number,
  [from, to]: readonly [number, number],
): Verdict {
  if (to - from > WIDEST * median) return "no verdict";
  if (to < low - MARGIN * before) return "worse";
  if (median < low - MARGIN * before) return "no verdict";
  return from > high + MARGIN * before ? "better" : "as before";
}

/** By order statistics, which need to know nothing of the distribution: how many rounds may be left out at each end. */
function medianInterval(sorted: readonly number[]): readonly [number, number] {
  const leftOut = Math.max(0, Math.floor(sorted.length / 2 - 0.98 * Math.sqrt(sorted.length) - 0.5));
  return [sorted[leftOut]!, sorted[sorted.length - 1 - leftOut]!];
}

const rounded = (value: number): number => Number(value.toFixed(3));
