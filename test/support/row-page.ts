/** A page of rows for tests of what writes them. */
import type { RowPage } from "../../src/client/read.ts";
import type { DatasetShape } from "../../src/datasets/dataset.ts";
import { createColumnPage } from "../../src/datasets/derive/codec.ts";

export type StoredFields = Readonly<Record<string, string | number | bigint | null>>;

/** Each row is of a series of its own. */
export function pageOfRows(dataset: DatasetShape, fields: readonly StoredFields[]): RowPage {
  const rows = createColumnPage(dataset, fields.length);
  const series = new Map<number, Record<string, string>>();
  for (const [at, row] of fields.entries()) {
    series.set(at, Object.fromEntries(dataset.dimensions.map(({ name }) => [name, row[name] as string])));
    rows.seriesIds[at] = at;
    rows.times[at] = row[dataset.time.name] as bigint;
    for (const { column, values, nulls } of rows.columns) {
      const value = row[column.name]!;
      nulls[at] = value === null ? 1 : 0;
      if (value !== null) values[at] = value;
    }
  }
  rows.length = fields.length;
  return { rows, series };
}
