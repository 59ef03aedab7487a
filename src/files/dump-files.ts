/**
 * Writes datasets to files, all of one moment, in constant memory. Either every file appears, whole and on disk, or
 * none does: they get their names when all of them are written. A file of the same name is replaced.
 */
import path from "node:path";
import type { RowPage } from "../client/read.ts";
import type { AnyWindowQuery, ReadOptions } from "../client/window.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { StoreError } from "../errors/store-error.ts";
import { OutputFile } from "./output-file.ts";
import { type TextFormat, textFormOf, writerOf } from "./text-form.ts";

/** Where the rows come from: a snapshot of the store. */
export interface PageSource {
  readPages(dataset: DatasetShape, query: AnyWindowQuery, options?: ReadOptions): AsyncGenerator<RowPage>;
}

/** One file of a dump. */
export interface DumpPlan {
  readonly dataset: DatasetShape;
  readonly query: AnyWindowQuery;
  /** Its extension says what is written: see `textFormOf`. */
  readonly path: string;
}

export interface DumpOptions {
  readonly signal?: AbortSignal;
  /** Told of the rows written so far, all files together. */
  readonly onProgress?: (rows: number) => void;
}

export interface DumpedFile {
  readonly file: string;
  readonly dataset: string;
  readonly rows: number;
  readonly bytes: number;
}

/**
 * @throws StoreError `usage` for a name with another extension and for two datasets in one file, `file_unwritable`,
 *   `aborted`, and what reading throws; then no file was made or changed.
 */
export async function dumpFiles(
  source: PageSource,
  plans: readonly DumpPlan[],
  options: DumpOptions = {},
): Promise<DumpedFile[]> {
  checkPlans(plans);
  const files: OutputFile[] = [];
  const dumped: DumpedFile[] = [];
  try {
    for (const plan of plans) {
      const file = await OutputFile.open(plan.path);
      files.push(file);
      dumped.push(await writeFile(source, plan, file, rowsOf(dumped), options));
    }
    for (const file of files) await file.publish();
    return dumped;
  } finally {
    for (const file of files) await file.discard();
  }
}

/** Checks what can be checked before there is a connection. @throws StoreError `usage`. */
export function checkPlans(plans: readonly DumpPlan[]): void {
  const seen = new Map<string, DatasetShape>();
  for (const { path: given, dataset } of plans) {
    textFormOf(given);
    const resolved = path.resolve(given);
    const other = seen.get(resolved);
    if (other !== undefined) {
      const both = `${other.name} and ${dataset.name}`;
      throw new StoreError("usage", `${showValue(given)} would get both ${both}; put {dataset} into the template.`);
    }
    seen.set(resolved, dataset);
  }
}

/** The bytes of a file, uncompressed: `format` and `query` as in a plan. */
export async function* dumpBytes(
  source: PageSource,
  { dataset, query, format }: Omit<DumpPlan, "path"> & { readonly format: TextFormat },
  onRows: (rows: number) => void,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const writer = writerOf(format, dataset);
  if (writer.head.length > 0) yield writer.head;
  for await (const page of source.readPages(dataset, query, signal && { signal })) {
    yield writer.lines(page);
    onRows(page.rows.length);
  }
}

async function writeFile(
  source: PageSource,
  plan: DumpPlan,
  file: OutputFile,
  before: number,
  { signal, onProgress }: DumpOptions,
): Promise<DumpedFile> {
  const { format, compression } = textFormOf(plan.path);
  let rows = 0;
  const count = (more: number): void => {
    rows += more;
    onProgress?.(before + rows);
  };
  const bytes = dumpBytes(source, { ...plan, format }, count, signal);
  try {
    const size = await file.write(bytes, compression, signal);
    return { file: plan.path, dataset: plan.dataset.name, rows, bytes: size };
  } finally {
    // A file that fails leaves the reading where it was; it has to end before the snapshot does.
    await bytes.return(undefined);
  }
}

const rowsOf = (dumped: readonly DumpedFile[]): number => dumped.reduce((sum, { rows }) => sum + rows, 0);
