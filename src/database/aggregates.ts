/**
 * Keeps the aggregates of bars up to date with what was written: takes marks off the log step by step, each step a
 * transaction, so that whatever ends a call loses nothing. One refresher works at a time; another one waits for it.
 * Never works out anew what retention has taken the rows of. See docs/decisions/aggregates.md.
 */
import { DATASET_NAMES, datasetNamed } from "../datasets/registry.ts";
import { StoreError } from "../errors/store-error.ts";
import { withRetry } from "./retry.ts";
import { runAsRole } from "./session.ts";
import type { AdminScope } from "./tenants.ts";

/** What one step reads at most: half a second of a processor's time, so that a busy server stays within its deadline. */
const BARS_PER_STEP = 200_000;

/** What became of one aggregate. */
interface AggregateCounts {
  /** Buckets that were new or had changed. */
  readonly written: number;
  /** Buckets whose last row was deleted. */
  readonly removed: number;
}

/** What a refresh did. */
export interface AggregateRefresh {
  /** Marks taken off the log. */
  readonly marks: number;
  /** By timeframe; only those that are enabled. */
  readonly aggregates: Readonly<Record<string, AggregateCounts>>;
}

export interface RefreshOptions {
  /** `bars` unless given; the only one that has aggregates. */
  readonly dataset?: string;
  /** Ends the call after the step under way at the latest; what is done stays done. */
  readonly signal?: AbortSignal;
  /** Told of each step when it is committed. */
  readonly onStep?: (step: AggregateRefresh) => void | Promise<void>;
}

/** A part of a dataset's history, to be worked out anew. */
export interface RebuildOptions extends RefreshOptions {
  /** Timeframes; all that are enabled unless given. */
  readonly aggregates?: readonly string[];
  /** ISO 8601 with a zone; from the first row on unless given. */
  readonly start?: string;
  /** Exclusive; to the last row unless given. */
  readonly end?: string;
  /** Where an earlier call was, as it told `onPartition`. */
  readonly resumeAt?: string;
  /** Told where the next partition starts when all before it is done; kept, it lets another call go on from there. */
  readonly onPartition?: (nextStart: string) => void | Promise<void>;
}

interface StepRow {
  readonly last_mark: bigint;
  readonly marks_taken: bigint;
  readonly has_more: boolean;
  readonly timeframes: readonly string[] | null;
  readonly written: readonly string[] | null;
  readonly removed: readonly string[] | null;
}

/**
 * Works out what was marked before the call began. Marks of transactions that commit meanwhile are left to the next one.
 *
 * @throws StoreError `usage` for a dataset without aggregates, `aborted`, and what a database may say.
 */
export async function refreshAggregates(scope: AdminScope, options: RefreshOptions = {}): Promise<AggregateRefresh> {
  const { dataset = "bars", signal, onStep } = options;
  timeframesOf(dataset);
  let all: AggregateRefresh = { marks: 0, aggregates: {} };
  let until: bigint | null = null;
  for (;;) {
    const row = await takeStep(scope, dataset, until, signal);
    const step = stepOf(row);
    all = sum(all, step);
    if (step.marks > 0) await onStep?.(step);
    if (!row.has_more || step.marks === 0) return all;
    until = row.last_mark;
  }
}

/**
 * Marks a part of the history, partition by partition, and works it out before it goes on to the next one. Being
 * stopped anywhere leaves nothing undone but what was not marked yet: what was marked, the next refresh works out.
 *
 * @throws StoreError `usage` for an aggregate that there is not, `constraint_violated` for one that is switched off,
 *   `aborted`, and what a database may say.
 */
export async function rebuildAggregates(scope: AdminScope, options: RebuildOptions = {}): Promise<AggregateRefresh> {
  const { dataset = "bars", aggregates, start, end, resumeAt, onPartition, signal } = options;
  const known = timeframesOf(dataset);
  const unknown = aggregates?.find((timeframe) => !known.includes(timeframe));
  if (unknown !== undefined) {
    throw new StoreError("usage", `There is no aggregate "${unknown}" of ${dataset}; there are ${known.join(", ")}.`);
  }
  let all: AggregateRefresh = { marks: 0, aggregates: {} };
  let from: string | null = resumeAt ?? start ?? null;
  do {
    from = await markPartition(scope, [dataset, aggregates ?? null, from, end ?? null], signal);
    all = sum(all, await refreshAggregates(scope, options));
    if (from !== null) await onPartition?.(from);
  } while (from !== null);
  return all;
}

/** Marks the first partition of a range; where the next one starts, null when there is none. */
async function markPartition(scope: AdminScope, values: unknown[], signal?: AbortSignal): Promise<string | null> {
  const statement = {
    text: `select to_char(n at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as next_start
           from mds.mark_aggregates($1, $2::text[], $3::timestamptz, $4::timestamptz) n`,
    values,
  };
  const admin = { ...scope, role: "mds_admin" } as const;
  const [row] = await withRetry(() => runAsRole<{ next_start: string | null }>(admin, statement, signal), signal);
  return row!.next_start;
}

async function takeStep(
  scope: AdminScope,
  dataset: string,
  until: bigint | null,
  signal?: AbortSignal,
): Promise<StepRow> {
  const statement = {
    text: `select last_mark, marks_taken, has_more, timeframes, written, removed
           from mds.refresh_aggregates($1, $2::int8, $3)`,
    values: [dataset, until, BARS_PER_STEP],
  };
  const admin = { ...scope, role: "mds_admin" } as const;
  const [row] = await withRetry(() => runAsRole<StepRow>(admin, statement, signal), signal);
  return row!;
}

function timeframesOf(dataset: string): readonly string[] {
  const known = DATASET_NAMES.find((name) => name === dataset);
  const aggregated = known === undefined ? undefined : datasetNamed(known).aggregated;
  if (aggregated === undefined) throw new StoreError("usage", `Dataset "${dataset}" has no aggregates; bars have.`);
  return aggregated.to;
}

function stepOf({ marks_taken, timeframes, written, removed }: StepRow): AggregateRefresh {
  const counts = (timeframes ?? []).map((timeframe, at): [string, AggregateCounts] => [
    timeframe,
    { written: Number(written![at]), removed: Number(removed![at]) },
  ]);
  return { marks: Number(marks_taken), aggregates: Object.fromEntries(counts) };
}

function sum(left: AggregateRefresh, right: AggregateRefresh): AggregateRefresh {
  const aggregates: Record<string, AggregateCounts> = { ...left.aggregates };
  for (const [timeframe, { written, removed }] of Object.entries(right.aggregates)) {
    const before = aggregates[timeframe] ?? { written: 0, removed: 0 };
    aggregates[timeframe] = { written: before.written + written, removed: before.removed + removed };
  }
  return { marks: left.marks + right.marks, aggregates };
}
