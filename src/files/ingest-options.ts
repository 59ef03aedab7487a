/**
 * How files are read, as people ask for it: a format by name, columns, constants, a time zone. Checked before any work is
 * done. The command's flags and the inputs of backfills are both of this shape.
 */
import { RowBatch } from "../datasets/derive/row-batch.ts";
import { type DatasetName, datasetNamed } from "../datasets/registry.ts";
import { type TimeZone, timeZone } from "../datasets/values/time-zone.ts";
import { StoreError } from "../errors/store-error.ts";
import { columnNames } from "./column-names.ts";
import { type NamedFormat, readOptionsOf } from "./formats/named-format.ts";
import { NAMED_FORMATS } from "./formats/named-formats.ts";
import type { IngestOptions } from "./ingest-file.ts";
import type { ReadOptions } from "./read-records.ts";
import { TEXT_FORMATS, type TextFormat } from "./text-form.ts";

/** Everything that a format may be called. */
export const FILE_FORMATS: readonly string[] = [...TEXT_FORMATS, ...NAMED_FORMATS.map(({ name }) => name)];

/** What is asked for. */
export interface IngestRequest {
  /** One of FILE_FORMATS; told by content unless given. */
  readonly format?: string | undefined;
  /** A column of the dataset and the file's name for it. */
  readonly map?: Readonly<Record<string, string>> | undefined;
  /** A column of the dataset and the value that all rows have there. */
  readonly set?: Readonly<Record<string, string>> | undefined;
  readonly ignoreColumns?: readonly string[] | undefined;
  /** Zone of times that name none. */
  readonly timezone?: string | undefined;
  readonly upperCase?: boolean | undefined;
}

/** @throws StoreError `usage`. */
export function ingestOptions(dataset: DatasetName, request: IngestRequest): IngestOptions {
  const zone = request.timezone === undefined ? undefined : timeZone(request.timezone);
  const columns = { columnMap: request.map, constants: request.set, ignoreColumns: request.ignoreColumns };
  const options = formatOptions(dataset, request.format, columns);
  refuseWrongConstants(dataset, columnNames(datasetNamed(dataset), options).constants, zone);
  return { ...options, ...(zone && { timeZone: zone }), ...(request.upperCase && { upperCase: true }) };
}

function formatOptions(dataset: DatasetName, format: string | undefined, given: ReadOptions): ReadOptions {
  if (format !== undefined && !FILE_FORMATS.includes(format)) {
    throw new StoreError("usage", `There is no format "${format}"; these are: ${FILE_FORMATS.join(", ")}.`);
  }
  const named = NAMED_FORMATS.find(({ name }) => name === format);
  if (named === undefined) return { ...given, format: format as TextFormat | undefined };
  if (named.dataset !== dataset) throw wrongDataset(named, dataset);
  return readOptionsOf(named, given);
}

function wrongDataset({ name, dataset }: NamedFormat, given: DatasetName): StoreError {
  return new StoreError("usage", `Files of --format ${name} hold ${dataset} and not ${given}.`);
}

function refuseWrongConstants(
  name: DatasetName,
  constants: Readonly<Record<string, string>>,
  zone: TimeZone | undefined,
): void {
  const rejection = new RowBatch(datasetNamed(name), 1, zone).add(constants);
  // What is missing may be in the file.
  if (rejection === undefined || rejection.code === "field_missing") return;
  throw new StoreError("usage", `--set gives a value that no row can have: ${rejection.message}`);
}
