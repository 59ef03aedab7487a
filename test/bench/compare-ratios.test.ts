import { describe, expect, it } from "vitest";
import {
  type CommittedRatio,
  committedRatios,
  compareRatios,
  confirmedLosses,
  MARGIN,
  MIN_ROUNDS,
} from "../../scripts/bench/compare-ratios.ts";

const before: CommittedRatio = { median: 0.5, low: 0.45, high: 0.55 };
/** Eleven rounds around a value, as a part of it apart. */
const rounds = (value: number, apart = 0.1): number[] =>
  Array.from({ length: 11 }, (_, at) => value * (1 + (apart * (at - 5)) / 10));
const compare = (measured: readonly number[] | null) => compareRatios({ fresh: before }, { fresh: measured })[0]!;

describe("a ratio of a short run", () => {
  it("is as before within the measured spread and the margin beside it", () => {
    expect(compare(rounds(0.5)).verdict).toBe("as before");
    expect(compare(rounds(0.46)).verdict).toBe("as before");
    expect(compare(rounds(0.45 - 0.9 * MARGIN * 0.5)).verdict).toBe("as before");
    expect(compare(rounds(0.6)).verdict).toBe("as before");
  });

  it("is worse when nearly all rounds are below that", () => {
    expect(compare(rounds(0.3))).toMatchObject({ verdict: "worse", median: 0.3 });
    expect(compare([...rounds(0.3).slice(1), 5]).verdict).toBe("worse"); // one disturbed round hides nothing
  });

  it("is better when nearly all rounds are above", () => {
    expect(compare(rounds(0.8)).verdict).toBe("better");
  });

  it("has no verdict where rounds are too far apart, too few or none", () => {
    expect(compare(rounds(0.3, 1.5)).verdict).toBe("no verdict");
    expect(compare(rounds(0.36, 0.4)).verdict).toBe("no verdict"); // below, and not for certain
    expect(compare(rounds(0.2).slice(0, MIN_ROUNDS - 1)).verdict).toBe("no verdict");
    expect(compare(null)).toMatchObject({ verdict: "no verdict", median: null, interval: null });
    expect(compareRatios({ fresh: before }, {})[0]!.verdict).toBe("no verdict");
  });

  it("leaves out of its interval as many rounds as 95 of 100 allow", () => {
    expect(compare([1, 2, 3, 4, 5, 6]).interval).toEqual([1, 6]);
    expect(compare([9, 8, 7, 6, 5, 4, 3, 2, 1]).interval).toEqual([2, 8]);
    expect(compare(Array.from({ length: 21 }, (_, at) => at)).interval).toEqual([5, 15]);
  });
});

describe("a loss", () => {
  it("is one that two runs found", () => {
    const run = (fresh: number, replay: number) =>
      compareRatios({ fresh: before, replay: before }, { fresh: rounds(fresh), replay: rounds(replay) });
    expect(confirmedLosses(run(0.3, 0.3), run(0.3, 0.5))).toEqual(["fresh"]);
    expect(confirmedLosses(run(0.5, 0.3), run(0.3, 0.5))).toEqual([]);
  });
});

describe("what is committed", () => {
  it("is the median of runs and how far they were apart", () => {
    const runs = [0.5, 0.4, 0.44].map((value) => ({ fresh: rounds(value), unseen: null }));
    expect(committedRatios(runs)).toEqual({ fresh: { median: 0.44, low: 0.4, high: 0.5 } });
    expect(committedRatios([])).toEqual({});
  });
});
