/**
 * Compares the bars of one series with those that are expected, in one pass and constant memory: what is there, what is
 * missing, and what is there though nothing was expected. Lists are bounded; counts are not.
 */
import { formatTime } from "../../datasets/values/time.ts";
import type { BarRun } from "./trading-calendar.ts";

/** Gaps and covered ranges that a series' report lists. */
const MAX_LISTED_RANGES = 1_000;
/** Unexpected bars that it lists. */
const MAX_LISTED_TIMES = 100;

/** Some bars in a row: from the start of the first to the end of the last. */
interface BarRange {
  /** ISO 8601. */
  readonly start: string;
  /** ISO 8601; exclusive. */
  readonly end: string;
  readonly bars: number;
}

export interface Coverage {
  readonly expected: number;
  readonly present: number;
  readonly missing: number;
  /** Bars outside the sessions, or off the grid. */
  readonly unexpected: number;
  /** Without a missing bar in them; only a session's end lies between. */
  readonly range_count: number;
  readonly ranges: readonly BarRange[];
  readonly gap_count: number;
  readonly gaps: readonly BarRange[];
  readonly unexpected_times: readonly string[];
}

/** A list of ranges of one kind, of which the last one may still grow. */
class RangeList {
  readonly listed: BarRange[] = [];
  count = 0;
  bars = 0;
  #openStartUs = 0;
  #openEndUs = 0;
  #openBars = 0;

  add(firstUs: number, stepUs: number, bars: number): void {
    if (this.#openBars === 0) this.#openStartUs = firstUs;
    this.#openEndUs = firstUs + bars * stepUs;
    this.#openBars += bars;
    this.bars += bars;
  }

  /** What comes next is another range. */
  close(): void {
    if (this.#openBars === 0) return;
    this.count++;
    if (this.listed.length < MAX_LISTED_RANGES) {
      const [start, end] = [formatTime(this.#openStartUs), formatTime(this.#openEndUs)];
      this.listed.push({ start, end, bars: this.#openBars });
    }
    this.#openBars = 0;
  }
}

/** One series' comparison. */
export class CoverageCount {
  readonly #runs: readonly BarRun[];
  readonly #ranges = new RangeList();
  readonly #gaps = new RangeList();
  readonly #unexpected: string[] = [];
  #unexpectedCount = 0;
  /** All expected bars before this one have been compared. */
  #run = 0;
  #bar = 0;

  constructor(runs: readonly BarRun[]) {
    this.#runs = runs;
  }

  /** The next bar of the series, later than all before. Microseconds since the epoch. */
  add(us: number): void {
    let run = this.#runs[this.#run];
    while (run !== undefined && us >= run.firstUs + run.count * run.stepUs) {
      this.#missTo(run, run.count);
      this.#run++;
      this.#bar = 0;
      run = this.#runs[this.#run];
    }
    const offsetUs = run === undefined ? -1 : us - run.firstUs;
    if (run === undefined || offsetUs < 0 || offsetUs % run.stepUs !== 0) {
      this.#unexpectedCount++;
      if (this.#unexpected.length < MAX_LISTED_TIMES) this.#unexpected.push(formatTime(us));
      return;
    }
    const at = offsetUs / run.stepUs;
    this.#missTo(run, at);
    this.#gaps.close();
    this.#ranges.add(us, run.stepUs, 1);
    this.#bar = at + 1;
  }

  finish(): Coverage {
    for (const run of this.#runs.slice(this.#run)) {
      this.#missTo(run, run.count);
      this.#bar = 0;
    }
    this.#gaps.close();
    this.#ranges.close();
    return {
      expected: this.#ranges.bars + this.#gaps.bars,
      present: this.#ranges.bars,
      missing: this.#gaps.bars,
      unexpected: this.#unexpectedCount,
      range_count: this.#ranges.count,
      ranges: this.#ranges.listed,
      gap_count: this.#gaps.count,
      gaps: this.#gaps.listed,
      unexpected_times: this.#unexpected,
    };
  }

  /** The bars of a run before this one were not there. */
  #missTo(run: BarRun, at: number): void {
    if (at <= this.#bar) return;
    this.#ranges.close();
    this.#gaps.add(run.firstUs + this.#bar * run.stepUs, run.stepUs, at - this.#bar);
    this.#bar = at;
  }
}
