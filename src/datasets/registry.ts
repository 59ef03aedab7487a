/** All datasets by name: the one list that the client, the command, jobs and HTTP go by. */
import { StoreError } from "../errors/store-error.ts";
import { bars } from "./bars.ts";
import type { DatasetShape } from "./dataset.ts";
import { fundamentals } from "./fundamentals.ts";
import { news } from "./news.ts";
import { options } from "./options.ts";
import { signals } from "./signals.ts";
import { showValue } from "./values/show-value.ts";

export const DATASETS = { bars, options, fundamentals, news, signals } as const satisfies Readonly<
  Record<string, DatasetShape>
>;

/** Name of a dataset, which is that of its tables and of the store's property. */
export type DatasetName = keyof typeof DATASETS;

/** The names in the order in which people are shown them. */
export const DATASET_NAMES = Object.keys(DATASETS) as readonly DatasetName[];

/** A dataset's definition, where its own types do not matter. @throws StoreError `usage` where there is none. */
export function datasetNamed(name: DatasetName): DatasetShape {
  if (!DATASET_NAMES.includes(name)) {
    throw new StoreError("usage", `${showValue(name)} is no dataset; these are: ${DATASET_NAMES.join(", ")}.`);
  }
  return DATASETS[name];
}
