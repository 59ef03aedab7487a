/**
 * Writes rows as NDJSON, one object a line with all of its dataset's fields: a null is null, int8 and decimals are
 * numbers with all their digits. What it writes, the NDJSON reader reads back as the same values, and writing those
 * again gives the same bytes.
 */
import type { DatasetShape, DimensionColumn } from "../datasets/dataset.ts";
import { type LineWriter, lineWriter } from "./line-writer.ts";

export function ndjsonWriter(dataset: DatasetShape): LineWriter {
  const { dimensions, time } = dataset;
  return lineWriter(dataset, {
    head: "",
    lineStart: (values) => {
      const fields = dimensions.map((column) => `"${column.name}":${dimensionText(column, values[column.name]!)}`);
      return `{${fields.join(",")},"${time.name}":"`;
    },
    timeEnd: '"',
    before: ({ name }) => `,"${name}":`,
    nullText: "null",
    text: (value) => JSON.stringify(value),
    json: (value) => value,
    lineEnd: "}\n",
  });
}

function dimensionText({ type }: DimensionColumn, value: string): string {
  return type === "decimal" ? value : JSON.stringify(value);
}
