/**
 * A stand-in for a dataset's client that checks rows as it does and writes nothing. Needs no database, so it knows
 * neither what is stored nor which rows of a file replace others.
 */
import type { UpsertOptions, UpsertResult } from "../client/upsert.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { RowBatch } from "../datasets/derive/row-batch.ts";
import type { IngestTarget } from "./ingest-file.ts";

/** Rows that are checked and then forgotten together. */
const ROWS_PER_BATCH = 1_000;

export function dryRun(dataset: DatasetShape): IngestTarget {
  return { dataset, upsert: (rows, options) => check(dataset, rows, options) };
}

async function check(
  dataset: DatasetShape,
  source: AsyncIterable<readonly unknown[]>,
  options: UpsertOptions = {},
): Promise<UpsertResult> {
  const batch = new RowBatch(dataset, ROWS_PER_BATCH, options.timeZone);
  const result = { inserted: 0, updated: 0, unchanged: 0, superseded: 0, rejected: 0, rejections: [] };
  let index = 0;
  for await (const rows of source) {
    for (const row of rows) {
      if (batch.full) batch.clear();
      const rejection = batch.add(row);
      if (rejection !== undefined) {
        result.rejected++;
        options.onRejected?.({ index: options.placeOf?.(row) ?? index, ...rejection, row });
      }
      index++;
    }
  }
  return result;
}
