/**
 * A vendor's file format as a table: what its columns mean and how it writes times. The readers know nothing of vendors;
 * `readOptionsOf` says the same to them in their own words.
 */
import type { DatasetName } from "../../datasets/registry.ts";
import type { Timeframe } from "../../datasets/values/timeframe.ts";
import type { ReadOptions } from "../read-records.ts";
import type { TextFormat } from "../text-form.ts";
import type { EpochUnit } from "./epoch-time.ts";

export interface NamedFormat {
  /** Also the vendor of its rows, where the caller names no other. */
  readonly name: string;
  readonly dataset: DatasetName;
  /** What the files are, as documentation has it. */
  readonly description: string;
  readonly format: TextFormat;
  /** The columns of the files, in their order: the dataset's column, or null where it is left out. */
  readonly columns: Readonly<Record<string, string | null>>;
  /** Whether the files may lack a header; their columns are then those above. */
  readonly mayLackHeader?: boolean;
  /** What times are counted in; absent where they are written out. */
  readonly epoch?: EpochUnit;
  /** The vendor's own names of timeframes, where ours are others. */
  readonly timeframes?: Readonly<Record<string, Timeframe>>;
  /** What else is to be known, each a whole sentence. */
  readonly notes: readonly string[];
}

/** The readers' options for a file of this format; what the caller says besides goes first. */
export function readOptionsOf(format: NamedFormat, given: ReadOptions = {}): ReadOptions {
  const { timeframes = {} } = format;
  const constants = Object.entries(given.constants ?? {}).map(([name, value]) => [name, timeframes[value] ?? value]);
  return {
    ...given,
    format: format.format,
    fileColumns: format.columns,
    constants: Object.fromEntries(constants),
    defaults: { vendor: format.name },
    ...(format.mayLackHeader && { headerIfNone: Object.keys(format.columns) }),
    ...(format.epoch && { epoch: format.epoch }),
  };
}
