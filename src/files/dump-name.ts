/**
 * The file that a dump goes to: a template whose `{…}` are filled with what the dump is narrowed to. Characters of names
 * that a file name cannot have, or that would lead to another folder, are written as `%` and two hex digits.
 */
import path from "node:path";
import { DATASET_NAMES, type DatasetName, datasetNamed } from "../datasets/registry.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { formatTime } from "../datasets/values/time.ts";
import { StoreError } from "../errors/store-error.ts";

export const DEFAULT_TEMPLATE = "{dataset}-{vendor}-{symbol}-{timeframe}-{start}-{end}.ndjson.gz";

/** What a dump is narrowed to. */
export interface DumpFilter {
  /** Values by dimension; one that is left out may have any. */
  readonly dimensions: Readonly<Record<string, readonly string[]>>;
  /** Microseconds since the epoch. */
  readonly startUs?: number | undefined;
  readonly endUs?: number | undefined;
}

/** Stands for a filter that is absent. */
const ANY = "ALL";
const NO_START = "MIN";
const NO_END = "MAX";
/** No usual file system takes longer names. */
const MAX_NAME_BYTES = 255;
/** What some system does not take in a file name, and what separates several values or begins a hidden file. */
const UNFIT = /^\.|[/\\:*?"<>|%+]/g;

/**
 * @throws StoreError `usage` for a `{…}` that stands for nothing, and for a name that is too long.
 */
export function dumpName(template: string, dataset: DatasetName, filter: DumpFilter): string {
  const name = template.replaceAll(/\{([^{}]*)\}/g, (_, field: string) => fieldText(field, dataset, filter));
  const bytes = Buffer.byteLength(path.basename(name));
  if (bytes <= MAX_NAME_BYTES) return name;
  throw new StoreError(
    "usage",
    `The template makes a file name of ${bytes} bytes, and no more than ${MAX_NAME_BYTES} are possible; name the file yourself.`,
  );
}

function fieldText(field: string, dataset: DatasetName, { dimensions, startUs, endUs }: DumpFilter): string {
  if (field === "dataset") return dataset;
  if (field === "start") return startUs === undefined ? NO_START : timeText(startUs);
  if (field === "end") return endUs === undefined ? NO_END : timeText(endUs);
  const known = dimensionNames();
  if (!known.includes(field)) {
    const fields = ["dataset", ...known, "start", "end"].map((name) => `{${name}}`);
    throw new StoreError("usage", `${showValue(`{${field}}`)} stands for nothing; these do: ${fields.join(", ")}.`);
  }
  return dimensions[field]?.map(fileNamePart).join("+") ?? ANY;
}

/** Those of all datasets: one template may serve several. */
function dimensionNames(): string[] {
  const names = DATASET_NAMES.flatMap((name) => datasetNamed(name).dimensions.map((dimension) => dimension.name));
  return [...new Set(names)];
}

/** ISO 8601 without the colons that some systems do not take: 20240102T153000Z. */
function timeText(us: number): string {
  return formatTime(us).replaceAll(/[-:]/g, "");
}

function fileNamePart(value: string): string {
  return value.replaceAll(UNFIT, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
