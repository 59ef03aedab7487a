/** Writes rows of the past: each is stored only where nothing has its key, or over it when that is asked for. */
import type { DatasetName } from "../datasets/registry.ts";
import type { ErrorCode } from "../errors/codes.ts";
import type { Store } from "./open-store.ts";
import type { UpsertResult } from "./upsert.ts";

/** Why a row was not stored. */
export interface RowRefusal {
  readonly code: ErrorCode;
  readonly message: string;
}

export interface PastRowOptions {
  /** Writes over what is stored. */
  readonly overwrite: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Writes rows in one transaction or a few; for each row the reason why it is not stored, or undefined when it is, or a
 * later row of its key among them.
 *
 * @throws StoreError when the database cannot be written to.
 */
export async function writePastRows(
  store: Store,
  dataset: DatasetName,
  rows: readonly unknown[],
  options: PastRowOptions,
): Promise<readonly (RowRefusal | undefined)[]> {
  const refusals = new Array<RowRefusal | undefined>(rows.length).fill(undefined);
  const result = await write(store, dataset, rows, refusals, 0, options);
  if (result.superseded === 0 || result.rejected === 0) return refusals;
  // Of rows of one key only the last is written, and if it is refused the others were not: tell them apart.
  for (const at of order(rows.length, options)) {
    refusals[at] = undefined;
    await write(store, dataset, rows.slice(at, at + 1), refusals, at, options);
  }
  return refusals;
}

/** The newest row first, where the first one that comes stays. */
function order(rows: number, { overwrite }: PastRowOptions): number[] {
  const places = Array.from({ length: rows }, (_, at) => at);
  return overwrite ? places : places.reverse();
}

function write(
  store: Store,
  dataset: DatasetName,
  rows: readonly unknown[],
  refusals: (RowRefusal | undefined)[],
  offset: number,
  { overwrite, signal }: PastRowOptions,
): Promise<UpsertResult> {
  const client = store.dataset(dataset);
  const options = {
    ...(signal !== undefined && { signal }),
    onRejected: ({ index, code, message }: { index: number; code: ErrorCode; message: string }): void => {
      refusals[offset + index] = { code, message };
    },
  };
  return overwrite ? client.upsert(rows, options) : client.insertAbsent(rows, options);
}
