/**
 * Which of a dataset's columns a name in a file means. Names are matched trimmed, as written or else regardless of
 * case where that is unambiguous: canonical names, aliases, and what the caller maps. Nothing is dropped silently: a
 * name that is none of these has to be mapped or ignored by the caller's word.
 */
import { columnsOf, type DatasetShape } from "../datasets/dataset.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { StoreError } from "../errors/store-error.ts";

/** How a caller bends a file's columns to a dataset's. */
export interface ColumnOptions {
  /** A dataset's column (or alias) and the file's name for it: `{ ts: "Date" }`. */
  readonly columnMap?: Readonly<Record<string, string>> | undefined;
  /** A dataset's column (or alias) and the value that every row has there: `{ vendor: "x" }`. */
  readonly constants?: Readonly<Record<string, string>> | undefined;
  /** Columns of the file to leave out. */
  readonly ignoreColumns?: readonly string[] | undefined;
  /** What names of the file mean besides the dataset's own: one of its columns, or null for one to leave out. */
  readonly fileColumns?: Readonly<Record<string, string | null>> | undefined;
  /** Constants that give way to what the options above say of their columns. */
  readonly defaults?: Readonly<Record<string, string>> | undefined;
  /** Whether a file has to have all columns of the dataset, under their own names. */
  readonly isStrict?: boolean | undefined;
}

/** A name's meaning: a column's canonical name, null where it is to be left out, undefined where it is unknown. */
type ColumnTarget = string | null | undefined;

/** The names of a file's columns, resolved. */
export interface ColumnNames {
  readonly dataset: DatasetShape;
  /** Whether any of the dataset's columns holds JSON. */
  readonly hasJson: boolean;
  readonly targetOf: (name: string) => ColumnTarget;
  /** Values that every row has, by canonical name. */
  readonly constants: Readonly<Record<string, string>>;
  /** Each column that the caller mapped: canonical name and the file's name for it. */
  readonly mapped: ReadonlyMap<string, string>;
  /** Columns that a file must not lack. */
  readonly needed: readonly string[];
  readonly isStrict: boolean;
}

/**
 * Resolves a caller's options against a dataset.
 *
 * @throws StoreError `usage` where an option names no column of the dataset, or one column twice.
 */
export function columnNames(dataset: DatasetShape, options: ColumnOptions): ColumnNames {
  const own = options.isStrict ? new Map(columnsOf(dataset).map(({ name }) => [name, name])) : ownNames(dataset);
  const canonical = (name: string, option: string): string => {
    const column = own.get(name.trim()) ?? own.get(name.trim().toLowerCase());
    if (column !== undefined) return column;
    const known = columnsOf(dataset).map((each) => each.name);
    throw new StoreError(
      "usage",
      `${option} names ${showValue(name)}, which is no column of ${dataset.name}: ${known.join(", ")}.`,
    );
  };
  const targets = new Map<string, ColumnTarget>([...own, ...Object.entries(options.fileColumns ?? {})]);
  const mapped = new Map<string, string>();
  for (const [name, fileName] of Object.entries(options.columnMap ?? {})) {
    const column = canonical(name, "--map");
    if (mapped.has(column)) throw new StoreError("usage", `--map names ${column} twice; keep one.`);
    if ([...mapped.values()].includes(fileName.trim())) {
      throw new StoreError("usage", `--map gives ${showValue(fileName)} to two columns; keep one.`);
    }
    mapped.set(column, fileName.trim());
    targets.set(fileName.trim(), column);
  }
  for (const name of options.ignoreColumns ?? []) targets.set(name.trim(), null);
  const constants: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.constants ?? {})) {
    const column = canonical(name, "--set");
    if (column in constants) throw new StoreError("usage", `--set names ${column} twice; keep one.`);
    constants[column] = value;
  }
  for (const [column, value] of Object.entries(options.defaults ?? {})) {
    if (!(column in constants || mapped.has(column))) constants[column] = value;
  }
  const folded = options.isStrict ? new Map<string, ColumnTarget>() : foldCase(targets);
  const targetOf = (name: string): ColumnTarget => {
    const exact = targets.get(name);
    if (exact !== undefined) return exact;
    const trimmed = name.trim();
    return targets.has(trimmed) ? targets.get(trimmed) : folded.get(trimmed.toLowerCase());
  };
  const hasJson = dataset.values.some(({ type }) => type === "json");
  const { isStrict = false } = options;
  const needed = (isStrict ? columnsOf(dataset) : [...dataset.dimensions, dataset.time]).map(({ name }) => name);
  return { dataset, hasJson, targetOf, constants, mapped, needed, isStrict };
}

function ownNames(dataset: DatasetShape): Map<string, string> {
  const names = new Map<string, string>();
  for (const column of columnsOf(dataset)) {
    for (const name of [column.name, ...(column.aliases ?? [])]) names.set(name, column.name);
  }
  return names;
}

/** Names regardless of case, without those that would mean two things. */
function foldCase(targets: ReadonlyMap<string, ColumnTarget>): Map<string, ColumnTarget> {
  const folded = new Map<string, ColumnTarget>();
  for (const [name, target] of targets) {
    const key = name.toLowerCase();
    folded.set(key, folded.has(key) && folded.get(key) !== target ? undefined : target);
  }
  return folded;
}
