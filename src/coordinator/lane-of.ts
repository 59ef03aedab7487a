/**
 * Which worker a row goes to: a hash of tenant, dataset and the textual parts of its key, so that all rows of one key
 * meet the same worker and keep their order. Parts that have several spellings (1h and 60m, 5 and 5.00) are left out;
 * leaving out can only bring more keys together. Where a dataset's series is one vendor's, its content key is added.
 */

import type { DatasetShape } from "../datasets/dataset.ts";
import { DATASET_NAMES, type DatasetName, datasetNamed } from "../datasets/registry.ts";
import type { Stream } from "./row-queue.ts";

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Names of the columns that spread the rows of each dataset. */
const SPREADING: ReadonlyMap<DatasetName, readonly string[]> = new Map(
  DATASET_NAMES.map((name) => [name, spreadingColumns(datasetNamed(name))]),
);

function spreadingColumns({ dimensions, contentKey }: DatasetShape): readonly string[] {
  const texts = dimensions.filter(({ type }) => type === "text").map((column) => column.name);
  return [...texts, ...(contentKey?.columns ?? [])];
}

/** The first half of the hash: what all rows of a call share. */
export function streamHash({ tenantId, dataset }: Stream): number {
  return addText(addText(FNV_OFFSET, tenantId), dataset);
}

/** The lane, from 0 to below `lanes`. Rows that no dataset can hold have one too. */
export function laneOf(hash: number, dataset: DatasetName, row: unknown, lanes: number): number {
  if (lanes === 1 || typeof row !== "object" || row === null) return 0;
  let sum = hash;
  for (const name of SPREADING.get(dataset)!) {
    const value = (row as Readonly<Record<string, unknown>>)[name];
    if (typeof value === "string") sum = addText(sum, value);
  }
  // FNV's low bits are weak.
  return ((sum ^ (sum >>> 15)) >>> 0) % lanes;
}

function addText(hash: number, text: string): number {
  let sum = hash;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // Blanks around a key do not count; see datasets/values/text.ts.
    if (code <= 0x20 || code >= 0x7f) return addUnusual(hash, text.trim());
    sum = Math.imul(sum ^ code, FNV_PRIME);
  }
  return Math.imul(sum ^ 0xff, FNV_PRIME);
}

function addUnusual(hash: number, text: string): number {
  let sum = hash;
  for (let at = 0; at < text.length; at++) sum = Math.imul(sum ^ text.charCodeAt(at), FNV_PRIME);
  return Math.imul(sum ^ 0xff, FNV_PRIME);
}
