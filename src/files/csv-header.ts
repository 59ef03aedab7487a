/**
 * A CSV header against a dataset: which cell of a record goes to which column. Requires the key's columns (from the
 * file or as constants) and at least one value; value columns may be missing, since an absent value keeps what is
 * stored. Says everything that is wrong with a header in one sentence, and how to go on.
 */
import { escapeUnsafe, showValue } from "../datasets/values/show-value.ts";
import { StoreError } from "../errors/store-error.ts";
import type { ColumnNames } from "./column-names.ts";

/** Names shown of a list; more do not help. */
const MAX_NAMES_SHOWN = 20;

/** What to do with a record's cells. */
export interface CsvPlan {
  /** The column of each cell, undefined where it is left out. */
  readonly targets: readonly (string | undefined)[];
  /** A row with the constants and a null for each column of the file. */
  readonly template: Readonly<Record<string, unknown>>;
}

/**
 * Plans the reading of a file from its header.
 *
 * @param header - The names in the file's first record.
 * @param fileName - How messages call the file.
 * @throws StoreError `file_columns` (missing, unknown or doubled columns, another delimiter), `usage` (a constant that
 *   is a column too).
 */
export function planCsv(header: readonly string[], columns: ColumnNames, fileName: string): CsvPlan {
  const names = header.map((name) => name.trim());
  refuseOtherDelimiter(names, fileName);
  const targets = names.map(columns.targetOf);
  refuseDoubled(names, targets, columns, fileName);
  refuseUnfit(names, targets, columns, fileName);
  const template: Record<string, unknown> = {};
  for (const target of targets) if (typeof target === "string") template[target] = null;
  return { targets: targets.map((target) => target ?? undefined), template: { ...template, ...columns.constants } };
}

function refuseOtherDelimiter(names: readonly string[], fileName: string): void {
  if (names.length !== 1) return;
  const delimiters = { ";": "semicolons", "\t": "tabs", "|": "bars" };
  const found = Object.entries(delimiters).find(([delimiter]) => names[0]!.includes(delimiter));
  if (found === undefined) return;
  throw new StoreError("file_columns", `${fileName} separates its columns with ${found[1]}; only commas are read.`);
}

function refuseDoubled(
  names: readonly string[],
  targets: readonly (string | null | undefined)[],
  columns: ColumnNames,
  fileName: string,
): void {
  const seen = new Map<string, string>();
  for (const [index, target] of targets.entries()) {
    const name = names[index]!;
    if (typeof target !== "string") continue;
    const before = seen.get(target);
    if (before !== undefined) {
      const both = `${showValue(before)} and ${showValue(name)}`;
      const advice = before === name ? "keep one of them" : `leave one out with --ignore-columns`;
      throw new StoreError("file_columns", `${fileName} has two columns for ${target}, ${both}; ${advice}.`);
    }
    if (target in columns.constants) {
      throw new StoreError(
        "usage",
        `--set gives ${target}, but ${fileName} has it too, as ${showValue(name)}; drop one (--ignore-columns ${escapeUnsafe(name)}).`,
      );
    }
    seen.set(target, name);
  }
}

function refuseUnfit(
  names: readonly string[],
  targets: readonly (string | null | undefined)[],
  columns: ColumnNames,
  fileName: string,
): void {
  const { dataset } = columns;
  const present = new Set([...targets, ...Object.keys(columns.constants)]);
  const missing = columns.needed.filter((name) => !present.has(name));
  const hasValue = dataset.values.some((column) => present.has(column.name));
  const unknown = names.filter((_, index) => targets[index] === undefined);
  // Under the name that was given: a column that only has the canonical name is not what the caller meant.
  const unmet = [...columns.mapped].filter(
    ([column, given]) => !names.some((name, at) => targets[at] === column && isSameName(name, given)),
  );
  const faults = [
    ...unmet.map(([column, name]) => `has no column ${showValue(name)}, which --map gives to ${column}`),
    ...(missing.length > 0 ? [`has no column for ${missing.join(" and ")}`] : []),
    ...(hasValue ? [] : [`has none of the values ${dataset.values.map((column) => column.name).join(", ")}`]),
    ...(unknown.length > 0 ? [`has columns that ${dataset.name} does not know: ${list(unknown)}`] : []),
  ];
  if (faults.length === 0) return;
  const isData = targets.every((target) => target === undefined);
  const advice = columns.isStrict ? NO_DUMP : isData ? DATA_FIRST : adviceOn(missing[0], unknown.length > 0);
  const message = `${fileName} ${faults.join(", and ")}; it has ${list(names)}; ${advice}.`;
  const details = { missing, unknown: unknown.slice(0, MAX_NAMES_SHOWN) };
  throw new StoreError("file_columns", message, { details });
}

function isSameName(name: string, given: string): boolean {
  return name.trim().toLowerCase() === given.toLowerCase();
}

const NO_DUMP = "a dump has all columns under their own names, and other files are loaded with mds ingest";
const DATA_FIRST = "its first line has to name the columns";

function adviceOn(missing: string | undefined, hasUnknown: boolean): string {
  const constant = missing === undefined ? "" : `, give one value for all rows with --set ${missing}=VALUE`;
  const ignore = hasUnknown ? " or leave columns out with --ignore-columns" : "";
  return `map a column with --map ${missing ?? "NAME"}=COLUMN${constant}${ignore}`;
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES_SHOWN).map(showValue).join(", ");
  return names.length > MAX_NAMES_SHOWN ? `${shown} and ${names.length - MAX_NAMES_SHOWN} more` : shown;
}
