/**
 * A stand-in for a dataset's client that checks rows as it does and writes nothing. Needs no database, so it knows
 * neither what is stored nor which rows of a file replace others.
 */
import type { UpsertOptions, UpsertResult } from "../client/upsert.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { RowCheck } from "../datasets/derive/row-check.ts";
import type { IngestTarget } from "./ingest-file.ts";

export function dryRun(dataset: DatasetShape): IngestTarget {
  return { dataset, upsert: (rows, options) => checkAll(dataset, rows, options) };
}

async function checkAll(
  dataset: DatasetShape,
  source: AsyncIterable<readonly unknown[]>,
  options: UpsertOptions = {},
): Promise<UpsertResult> {
  const check = new RowCheck(dataset, options.timeZone);
  const result = { inserted: 0, updated: 0, unchanged: 0, superseded: 0, rejected: 0, rejections: [] };
  let index = 0;
  for await (const rows of source) {
    for (const row of rows) {
      const rejection = check.rejectionOf(row);
      if (rejection !== undefined) {
        result.rejected++;
        options.onRejected?.({ index: options.placeOf?.(row) ?? index, ...rejection, row });
      }
      index++;
    }
  }
  return result;
}
