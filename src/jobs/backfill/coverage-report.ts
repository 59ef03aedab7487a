/**
 * What verify-coverage has found so far: totals of all series, and as many series' reports as a result of a megabyte
 * holds, those with gaps apart from the complete ones so that these cannot crowd them out.
 */
import { BoundedList } from "../bounded-list.ts";
import type { Coverage } from "./coverage.ts";

/** Together with the totals they have to fit a checkpoint and a result of a megabyte. */
const MAX_INCOMPLETE_BYTES = 700_000;
const MAX_COMPLETE_BYTES = 200_000;
/** Ranges of a series' report where its whole lists do not fit any more. */
const SHORT_LIST = 10;

/** A series by name; the vendor is null where no vendor has the symbol. */
export interface CheckedSeries {
  readonly vendor: string | null;
  readonly symbol: string;
  readonly timeframe: string;
}

type SeriesReport = CheckedSeries & Coverage;

interface Totals {
  series: number;
  complete: number;
  incomplete: number;
  /** Of the incomplete ones those without a single bar. */
  empty: number;
  expected: number;
  present: number;
  missing: number;
  unexpected: number;
}

interface Saved {
  readonly totals: Totals;
  readonly incomplete: { readonly items: readonly SeriesReport[]; readonly left_out: number };
  readonly complete: { readonly items: readonly SeriesReport[]; readonly left_out: number };
}

export class CoverageReport {
  readonly #totals: Totals = {
    series: 0,
    complete: 0,
    incomplete: 0,
    empty: 0,
    expected: 0,
    present: 0,
    missing: 0,
    unexpected: 0,
  };
  readonly #incomplete = new BoundedList<SeriesReport>(MAX_INCOMPLETE_BYTES);
  readonly #complete = new BoundedList<SeriesReport>(MAX_COMPLETE_BYTES);

  get totals(): Readonly<Totals> {
    return this.#totals;
  }

  add(series: CheckedSeries, coverage: Coverage): void {
    const isComplete = coverage.missing === 0 && coverage.unexpected === 0;
    this.#totals.series++;
    this.#totals[isComplete ? "complete" : "incomplete"]++;
    if (coverage.present === 0 && coverage.expected > 0) this.#totals.empty++;
    for (const name of ["expected", "present", "missing", "unexpected"] as const) this.#totals[name] += coverage[name];
    const report = { ...series, ...coverage };
    (isComplete ? this.#complete : this.#incomplete).add(report, shortened(report));
  }

  /** For a checkpoint. */
  toJSON(): Saved {
    return { totals: this.#totals, incomplete: this.#incomplete.toJSON(), complete: this.#complete.toJSON() };
  }

  restore(saved: Saved): void {
    Object.assign(this.#totals, saved.totals);
    this.#incomplete.restore(saved.incomplete);
    this.#complete.restore(saved.complete);
  }

  result(): object {
    return {
      summary: this.#totals,
      incomplete: this.#incomplete.items,
      incomplete_left_out: this.#incomplete.leftOut,
      complete: this.#complete.items,
      complete_left_out: this.#complete.leftOut,
    };
  }
}

function shortened(report: SeriesReport): SeriesReport {
  const { ranges, gaps, unexpected_times } = report;
  return {
    ...report,
    ranges: ranges.slice(0, SHORT_LIST),
    gaps: gaps.slice(0, SHORT_LIST),
    unexpected_times: unexpected_times.slice(0, SHORT_LIST),
  };
}
