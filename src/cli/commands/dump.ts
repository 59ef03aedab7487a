/**
 * `mds dump DATASET|all [TEMPLATE]`: writes rows to files from which `mds restore` makes the same rows again. All files
 * are of one moment, and appear only when every one of them is whole.
 */
import { Argument, type Command, Option } from "commander";
import { DATASET_NAMES, type DatasetName, datasetNamed } from "../../datasets/registry.ts";
import { StoreError } from "../../errors/store-error.ts";
import {
  checkPlans,
  type DumpedFile,
  type DumpPlan,
  dumpBytes,
  dumpFiles,
  type PageSource,
} from "../../files/dump-files.ts";
import { DEFAULT_TEMPLATE, dumpName } from "../../files/dump-name.ts";
import { TEXT_FORMATS, type TextFormat } from "../../files/text-form.ts";
import { youngHeapBound } from "../../resilience/young-heap.ts";
import { withStore } from "../connect.ts";
import { addExamples, addJsonFlag, addTenantFlags, type TenantFlags } from "../flags.ts";
import { nothingFound } from "../other-case.ts";
import { PROGRESS_INTERVAL_MS } from "../output.ts";
import type { Shell } from "../shell.ts";
import { addWindowFlags, queryOf, type WindowFlags, windowFilter } from "../window-flags.ts";

interface DumpFlags extends TenantFlags, WindowFlags {
  readonly format?: TextFormat;
  readonly json?: boolean;
}

const ALL = "all";
const STANDARD_OUTPUT = "-";
const NUMBER = new Intl.NumberFormat("en-US");

export function dump(command: Command, shell: Shell): void {
  command
    .addArgument(
      new Argument("<dataset>", "what to write; all: every dataset, as of one moment").choices([...DATASET_NAMES, ALL]),
    )
    .argument(
      "[template]",
      `the file, ending in .csv or .ndjson and maybe .gz or .zst; - for standard output (default: ${DEFAULT_TEMPLATE})`,
    );
  addWindowFlags(command).addOption(
    new Option("--format <format>", "of standard output; ndjson unless given").choices(TEXT_FORMATS),
  );
  addJsonFlag(addTenantFlags(command)).action(
    (dataset: DatasetName | typeof ALL, template: string | undefined, flags) =>
      run(shell, dataset === ALL ? DATASET_NAMES : [dataset], template ?? DEFAULT_TEMPLATE, flags as DumpFlags),
  );
  addExamples(
    command,
    "npx mds dump bars --vendor coinbase --symbol BTC-USD --timeframe 1m",
    "npx mds dump all 'backup/{dataset}.ndjson.zst'",
    "npx mds dump signals - --format csv --start 2024-01-01T00:00:00Z > signals.csv",
  );
}

async function run(shell: Shell, names: readonly DatasetName[], template: string, flags: DumpFlags): Promise<void> {
  const filter = windowFilter(names, flags);
  const toOutput = template === STANDARD_OUTPUT;
  if (toOutput) refuseForOutput(names, flags);
  else if (flags.format !== undefined) {
    throw new StoreError("usage", "--format is for standard output; what a file gets is told by its name.");
  }
  const plans = names.map((name) => ({
    dataset: datasetNamed(name),
    query: queryOf(filter),
    path: toOutput ? STANDARD_OUTPUT : dumpName(template, name, filter),
  }));
  if (!toOutput) checkPlans(plans);
  const config = shell.configure({ dsn: flags.dsn, tenant: flags.tenant });
  await withStore(shell, config, "dump", async (store, signal) => {
    const snapshot = await store.snapshot(signal);
    try {
      const dumping = new Dumping(shell, snapshot, signal);
      const rows = toOutput
        ? await dumping.toOutput(plans[0]!, flags.format ?? "ndjson")
        : await dumping.toFiles(plans, flags.json ?? false);
      if (rows > 0 || names.length > 1 || shell.output.readerIsGone) return;
      shell.output.note(await nothingFound(store.dataset(names[0]!), filter.dimensions, signal));
    } finally {
      await snapshot.close();
    }
  });
}

function refuseForOutput(names: readonly DatasetName[], { json }: DumpFlags): void {
  if (names.length > 1) {
    throw new StoreError("usage", "Standard output takes one dataset; name it, or a template for files.");
  }
  if (json) throw new StoreError("usage", "--json has no place beside the rows on standard output.");
}

/** One run: rows on their way, and what people are told of them. */
class Dumping {
  readonly #shell: Shell;
  readonly #source: PageSource;
  readonly #signal: AbortSignal;
  readonly #startedAt = performance.now();
  readonly #boundYoungHeap = youngHeapBound();
  #shownAt = 0;

  constructor(shell: Shell, source: PageSource, signal: AbortSignal) {
    this.#shell = shell;
    this.#source = source;
    this.#signal = signal;
  }

  async toFiles(plans: readonly DumpPlan[], json: boolean): Promise<number> {
    const { output } = this.#shell;
    let files: DumpedFile[];
    try {
      files = await dumpFiles(this.#source, plans, { signal: this.#signal, onProgress: this.#progress });
    } catch (error) {
      if (this.#signal.aborted) output.note("Stopped; no file was written.");
      throw error;
    }
    const elapsedMs = performance.now() - this.#startedAt;
    const rows = files.reduce((sum, file) => sum + file.rows, 0);
    for (const { file, rows: some, bytes } of files) {
      output.note(`${file}: ${NUMBER.format(some)} rows, ${NUMBER.format(bytes)} bytes.`);
    }
    const count = files.length === 1 ? "1 file" : `${files.length} files`;
    output.note(`Dumped ${this.#rate(rows, elapsedMs)} to ${count}.`);
    if (json) await output.json({ files, rows, elapsed_ms: Math.round(elapsedMs) });
    return rows;
  }

  async toOutput(plan: DumpPlan, format: TextFormat): Promise<number> {
    const { output } = this.#shell;
    let rows = 0;
    const count = (more: number): void => {
      rows += more;
      this.#progress(rows);
    };
    for await (const bytes of dumpBytes(this.#source, { ...plan, format }, count, this.#signal)) {
      await output.data(bytes);
      if (output.readerIsGone) return rows;
    }
    output.note(`Dumped ${this.#rate(rows, performance.now() - this.#startedAt)}.`);
    return rows;
  }

  readonly #progress = (rows: number): void => {
    this.#boundYoungHeap();
    const now = performance.now();
    if (now - this.#shownAt < PROGRESS_INTERVAL_MS) return;
    this.#shownAt = now;
    this.#shell.output.progress(this.#rate(rows, now - this.#startedAt));
  };

  #rate(rows: number, elapsedMs: number): string {
    const seconds = Math.max(elapsedMs / 1_000, 0.001);
    return `${NUMBER.format(rows)} rows in ${seconds.toFixed(1)} s, ${NUMBER.format(Math.round(rows / seconds))} rows/s`;
  }
}
