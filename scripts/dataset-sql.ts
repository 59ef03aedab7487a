/** Prints the SQL of a dataset, for the migration that adds it: `node scripts/dataset-sql.ts src/datasets/bars.ts`. */
import { pathToFileURL } from "node:url";
import type { DatasetShape } from "../src/datasets/dataset.ts";
import { datasetSql } from "../src/datasets/derive/sql.ts";

const file = process.argv[2];
if (file === undefined) {
  console.error("Name the file of a dataset: node scripts/dataset-sql.ts src/datasets/bars.ts");
  process.exit(2);
}
const exported = Object.values((await import(pathToFileURL(file).href)) as Record<string, DatasetShape>);
console.log(datasetSql(exported[0]!));
