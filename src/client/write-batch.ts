/**
 * Writes one batch: resolves its series, makes missing partitions, folds rows of one key, and calls the upsert function
 * once for each set of columns that the rows bring. Counts are those of committed transactions.
 */
import { withRetry } from "../database/retry.ts";
import { runInTenant, type Statement, type TenantScope } from "../database/session.ts";
import type { DatasetShape, Rejection, ValueColumn } from "../datasets/dataset.ts";
import { encodeHexArray, encodeInt4Array, encodeTimeArray, encodeValueArray } from "../datasets/derive/codec.ts";
import { foldBatch, type RowGroup } from "../datasets/derive/fold-batch.ts";
import type { RowBatch } from "../datasets/derive/row-batch.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { StoreError } from "../errors/store-error.ts";
import type { PartitionCache } from "./partition-cache.ts";
import type { SeriesCache } from "./series-cache.ts";

/** What became of rows. */
export interface WriteCounts {
  inserted: number;
  updated: number;
  /** Rows that were stored with the same values already; nothing was written for them. */
  unchanged: number;
  /** Rows that a later row of the same key in the same batch replaced. */
  superseded: number;
}

/** What became of a batch. */
export interface BatchOutcome extends WriteCounts {
  /** Rows, by their place in the batch, that could not be stored. */
  readonly rejections: { readonly row: number; readonly rejection: Rejection }[];
}

export interface WriteTarget {
  readonly scope: TenantScope;
  readonly dataset: DatasetShape;
  readonly series: SeriesCache;
  readonly partitions: PartitionCache;
  /** Rows whose key is stored are refused unless they are what is stored. */
  readonly onlyAbsent?: boolean;
  /** Writes new rows past the upsert, where it can; see trusted-copy.ts. */
  readonly copy?: RowCopy;
  /** How often a statement is tried again here; unless given, as `withRetry` has it. */
  readonly maxRetries?: number;
}

/** A way for new rows that is faster than the upsert. */
export interface RowCopy {
  /** Makes a group ready, or undefined where it has to go through the upsert. */
  prepare(batch: RowBatch, ids: Int32Array, group: RowGroup): PreparedCopy | undefined;
  /** Told of what the upsert took instead. */
  noteUpserted(rows: number, inserted: number): void;
}

/**
 * @param turn - As of `writeBatch`; the rows may be sent before, but not committed.
 * @returns Whether all rows are stored; else none is, as where a key was taken or `turn` was rejected.
 */
export type PreparedCopy = (turn: Promise<unknown>, signal?: AbortSignal) => Promise<boolean>;

/**
 * @param turn - Resolves when the batch may be sent; until then it is made ready, so that the server need not wait.
 * @throws StoreError when the batch could not be written; groups written before stay. What `turn` is rejected with.
 */
export async function writeBatch(
  target: WriteTarget,
  batch: RowBatch,
  turn: Promise<unknown>,
  signal?: AbortSignal,
): Promise<BatchOutcome> {
  try {
    return await writeOnce(target, batch, turn, signal);
  } catch (error) {
    // A cache was out of date: a tenant's series or a partition is gone. Look again, once.
    if (!(error instanceof StoreError)) throw error;
    if (error.code === "series_unknown") target.series.forget(target.scope, batch.series);
    else if (error.code === "partition_missing") target.partitions.clear();
    else throw error;
    return writeOnce(target, batch, turn, signal);
  }
}

async function writeOnce(
  target: WriteTarget,
  batch: RowBatch,
  turn: Promise<unknown>,
  signal?: AbortSignal,
): Promise<BatchOutcome> {
  const { scope, series, partitions, maxRetries } = target;
  const ids = await withRetry(() => series.resolve(scope, batch.series, signal), signal, maxRetries);
  await withRetry(() => partitions.ensure(scope, batch.times, batch.size, signal), signal, maxRetries);
  const { groups, superseded, rejections } = foldBatch(batch, ids);
  const copies = groups.map((group) => target.copy?.prepare(batch, ids, group));
  const statements = groups.map((group, at) => (copies[at] ? undefined : writeStatement(target, batch, ids, group)));
  const outcome: BatchOutcome = { inserted: 0, updated: 0, unchanged: 0, superseded, rejections: [...rejections] };
  for (const [at, group] of groups.entries()) {
    const copy = copies[at];
    if (copy !== undefined && (await withRetry(() => copy(turn, signal), signal, maxRetries))) {
      outcome.inserted += group.rows.length;
      continue;
    }
    await turn;
    const before = outcome.inserted;
    const statement = statements[at] ?? writeStatement(target, batch, ids, group);
    await writeGroup(target, batch, ids, group, statement, outcome, signal);
    target.copy?.noteUpserted(group.rows.length, outcome.inserted - before);
  }
  await turn; // also where nothing was left to be written
  return outcome;
}

interface UpsertAnswer {
  readonly inserted: bigint;
  readonly updated: bigint;
  readonly unchanged: bigint;
  readonly rejected: readonly number[] | null;
  readonly reasons: readonly ErrorCode[] | null;
}

async function writeGroup(
  target: WriteTarget,
  batch: RowBatch,
  ids: Int32Array,
  group: RowGroup,
  statement: Statement,
  outcome: BatchOutcome,
  signal?: AbortSignal,
): Promise<void> {
  const send = (): Promise<UpsertAnswer[]> => runInTenant<UpsertAnswer>(target.scope, statement, signal);
  const [answer] = await withRetry(send, signal, target.maxRetries);
  const { rejected, reasons, inserted, updated, unchanged } = answer!;
  if (rejected === null || target.onlyAbsent) {
    outcome.inserted += Number(inserted);
    outcome.updated += Number(updated);
    outcome.unchanged += Number(unchanged);
  }
  if (rejected === null) return;
  for (const [at, position] of rejected.entries()) {
    const row = group.rows[position - 1]!;
    outcome.rejections.push({ row, rejection: storedRejection(reasons![at]!) });
  }
  if (target.onlyAbsent) return; // the others are stored
  const refused = new Set(rejected.map((position) => position - 1));
  const rows = group.rows.filter((_, at) => !refused.has(at));
  if (rows.length === 0) return;
  const rest = { present: group.present, rows };
  await writeGroup(target, batch, ids, rest, writeStatement(target, batch, ids, rest), outcome, signal);
}

function storedRejection(code: ErrorCode): Rejection {
  if (code === "key_present") return { code, message: "Another row with this key is stored, which may be newer." };
  return code === "field_missing"
    ? { code, message: "A required field is absent, and no row with this key is stored that could keep its value." }
    : { code, message: "Together with the stored values of the absent fields the row is impossible." };
}

function writeStatement(
  { dataset, onlyAbsent = false }: WriteTarget,
  batch: RowBatch,
  ids: Int32Array,
  { present, rows }: RowGroup,
): Statement {
  const isAbsent = (slot: number): boolean => (present & (1 << slot)) === 0;
  const parameters = [
    { cast: "int4[]", value: encodeInt4Array(ids, batch.seriesAt, rows) },
    { cast: "timestamptz[]", value: encodeTimeArray(batch.times, rows) },
    ...(dataset.contentKey ? [{ cast: "bytea[]", value: encodeHexArray(batch.contentKeys, rows) }] : []),
    ...batch.columns.map((column, slot) => ({
      cast: ARRAY_CASTS[column.column.type],
      value: isAbsent(slot) ? null : encodeValueArray(column, rows),
    })),
  ];
  const list = parameters.map(({ cast }, at) => `$${at + 1}::${cast}`).join(", ");
  return {
    text: `select inserted, updated, unchanged, rejected, reasons from mds.${onlyAbsent ? "insert" : "upsert"}_${dataset.name}(${list})`,
    values: parameters.map(({ value }) => value),
  };
}

/** How a parameter of each type is sent and what it becomes. */
const ARRAY_CASTS: Readonly<Record<ValueColumn["type"], string>> = {
  float8: "float8[]",
  int8: "int8[]",
  numeric: "text[]::numeric[]",
  text: "text[]",
  json: "text[]::jsonb[]",
};
