/**
 * The flags that say which rows a verb is about: one for each dimension of any dataset, --start and --end. They come
 * from the datasets' definitions; a flag that the dataset at hand has no use for is refused.
 */
import type { Command } from "commander";
import { type AnyWindowQuery, LATEST_WINDOW_MS } from "../client/window.ts";
import type { DimensionColumn, Rejection } from "../datasets/dataset.ts";
import { parseDimension } from "../datasets/derive/parse-column.ts";
import { DATASET_NAMES, type DatasetName, datasetNamed } from "../datasets/registry.ts";
import { parseTime } from "../datasets/values/time.ts";
import { timeZone } from "../datasets/values/time-zone.ts";
import { StoreError } from "../errors/store-error.ts";
import type { DumpFilter } from "../files/dump-name.ts";
import { collect, flagOf, optionKeyOf } from "./flags.ts";

/** As commander gives them: dimensions under the names of their flags. */
export interface WindowFlags {
  readonly start?: string;
  readonly end?: string;
  readonly timezone?: string;
}

interface FilterFlag {
  readonly dimension: DimensionColumn;
  readonly datasets: readonly DatasetName[];
}

export function addWindowFlags(command: Command): Command {
  for (const { dimension, datasets } of filterFlags()) {
    const where = datasets.length === DATASET_NAMES.length ? "" : ` (${datasets.join(", ")})`;
    command.option(
      `${flagOf(dimension.name)} <${valueName(dimension)}>`,
      `only this one${EXAMPLES[dimension.type]}; may be given several times${where}`,
      collect,
    );
  }
  return command
    .option("--start <time>", "not before this time, such as 2014-06-05T08:15:00Z")
    .option("--end <time>", "before this time")
    .option("--timezone <zone>", "zone of --start and --end where they name none, such as UTC");
}

const EXAMPLES: Readonly<Record<DimensionColumn["type"], string>> = {
  text: "",
  timeframe: ", such as 1m or 1d",
  date: ", such as 2024-06-21",
  option_type: ": C or P",
  decimal: "",
};

function valueName({ name, type }: DimensionColumn): string {
  return type === "date" || type === "option_type" ? type.replace("option_", "") : name.split("_").at(-1)!;
}

/**
 * What the rows are narrowed to. A wrong name or time is found here, before there is a connection.
 *
 * @throws StoreError `usage`.
 */
export function windowFilter(datasets: readonly DatasetName[], flags: WindowFlags): DumpFilter {
  const zone = flags.timezone === undefined ? undefined : timeZone(flags.timezone);
  const timeOf = (name: string, text: string | undefined): number | undefined =>
    text === undefined ? undefined : valid(parseTime(`--${name}`, text, zone, LATEST_WINDOW_MS));
  const dimensions: Record<string, string[]> = {};
  for (const { dimension, datasets: known } of filterFlags()) {
    const { name, type } = dimension;
    const given = (flags as Readonly<Record<string, readonly string[] | undefined>>)[optionKeyOf(name)];
    if (given === undefined) continue;
    for (const dataset of datasets) if (!known.includes(dataset)) throw unknownFilter(dataset, name);
    dimensions[name] = given.map((value) => valid(parseDimension(flagOf(name), type, value)));
  }
  return { dimensions, startUs: timeOf("start", flags.start), endUs: timeOf("end", flags.end) };
}

/** The filter as a query. */
export function queryOf({ dimensions, startUs, endUs }: DumpFilter): AnyWindowQuery {
  return {
    ...dimensions,
    ...(startUs !== undefined && { start: BigInt(startUs) }),
    ...(endUs !== undefined && { end: BigInt(endUs) }),
  };
}

/** Each dimension once, with the datasets that have it. */
function filterFlags(): FilterFlag[] {
  const flags = new Map<string, { dimension: DimensionColumn; datasets: DatasetName[] }>();
  for (const name of DATASET_NAMES) {
    for (const dimension of datasetNamed(name).dimensions) {
      const known = flags.get(dimension.name);
      if (known === undefined) flags.set(dimension.name, { dimension, datasets: [name] });
      else known.datasets.push(name);
    }
  }
  return [...flags.values()];
}

function unknownFilter(dataset: DatasetName, name: string): StoreError {
  const flags = [...datasetNamed(dataset).dimensions.map((dimension) => flagOf(dimension.name)), "--start", "--end"];
  return new StoreError(
    "usage",
    `Rows of ${dataset} cannot be told by ${flagOf(name)}; they can by ${flags.join(", ")}.`,
  );
}

function valid<Value extends string | number>(value: Value | Rejection): Value {
  if (typeof value === "object") throw new StoreError("usage", value.message);
  return value;
}
