/**
 * `mds ingest bars FILE...`: loads CSV and NDJSON files. A bad line costs itself alone. A file that cannot be read to
 * its end is told of and the next one is taken; a database that goes away ends the run. Ctrl-C writes what was read
 * and ends with 130.
 */
import { Argument, type Command, Option } from "commander";
import { DEFAULT_BATCH_ROWS, MAX_BATCH_ROWS } from "../../client/upsert.ts";
import { bars } from "../../datasets/bars.ts";
import { RowBatch } from "../../datasets/derive/row-batch.ts";
import { type TimeZone, timeZone } from "../../datasets/values/time-zone.ts";
import type { ErrorCode } from "../../errors/codes.ts";
import { StoreError } from "../../errors/store-error.ts";
import { columnNames } from "../../files/column-names.ts";
import { dryRun } from "../../files/dry-run.ts";
import { type IngestCounts, type IngestOptions, type IngestTarget, ingestFile } from "../../files/ingest-file.ts";
import { RejectsWriter } from "../../files/rejects-writer.ts";
import { youngHeapBound } from "../bound-young-heap.ts";
import { withStore } from "../connect.ts";
import {
  addExamples,
  addJsonFlag,
  addTenantFlags,
  assignments,
  collect,
  type TenantFlags,
  wholeNumber,
} from "../flags.ts";
import { IngestReport, type LoadedFile, writtenBefore } from "../ingest-report.ts";
import { inputFiles } from "../input-files.ts";
import { interruptible } from "../interruption.ts";
import { EXIT, type Shell } from "../shell.ts";

interface IngestFlags extends TenantFlags {
  readonly map?: Readonly<Record<string, string>>;
  readonly set?: Readonly<Record<string, string>>;
  readonly ignoreColumns?: readonly string[];
  readonly format?: "csv" | "ndjson";
  readonly timezone?: string;
  readonly upperCase?: boolean;
  readonly batchRows?: number;
  readonly rejects?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** A file with one of these faults is left as far as it was read, and the next one is taken. */
const FAULTS_OF_ONE_FILE: ReadonlySet<ErrorCode> = new Set([
  "file_unreadable",
  "file_encoding",
  "file_columns",
  "file_truncated",
]);
const NOTES = `
A bad line costs itself alone. A file that cannot be read to its end is told of, and the next one is loaded. Loading a
file again changes nothing about the rows that are stored already. Ctrl-C writes what was read, says how much that is,
and ends with 130.`;
/** The progress line is written anew this often: fast enough to look alive. */
const PROGRESS_INTERVAL_MS = 100;

export function ingest(command: Command, shell: Shell): void {
  command
    .addArgument(new Argument("<dataset>", "where the rows go").choices([bars.name]))
    .argument("<file...>", "CSV or NDJSON, plain, gzip or zstd, told by content; patterns; - for standard input")
    .option("--set <column=value>", "the value of a column for all rows; may be given several times", assignments)
    .option("--map <column=name>", "the file's name for a column, as in ts=Date,close=Close", assignments)
    .option("--ignore-columns <names>", "columns of the file to leave out, with commas between", collect)
    .option("--timezone <zone>", "zone of times that name none, such as America/New_York or UTC")
    .option("--upper-case", "upper-case all symbols")
    .addOption(
      new Option("--format <format>", "instead of telling it by the first character").choices(["csv", "ndjson"]),
    )
    .option("--rejects <file>", "write every rejected line there, with its number and the reason")
    .option(
      "--batch-rows <rows>",
      `rows a transaction; ${DEFAULT_BATCH_ROWS} unless given`,
      wholeNumber(1, MAX_BATCH_ROWS),
    )
    .option("--dry-run", "read and check everything, write nothing; needs no database");
  addJsonFlag(addTenantFlags(command)).action((_dataset: string, names: string[], flags: IngestFlags) =>
    ingestFiles(shell, names, flags),
  );
  command.addHelpText("after", NOTES);
  addExamples(
    command,
    "npx mds ingest bars bars.csv --set vendor=coinbase --set timeframe=1m",
    "npx mds ingest bars 'data/*.csv.gz' --set vendor=x,timeframe=1d --rejects rejects.ndjson",
    "curl -s https://example.com/bars.ndjson | npx mds ingest bars - --set vendor=x --set timeframe=1m",
  );
}

async function ingestFiles(shell: Shell, names: readonly string[], flags: IngestFlags): Promise<void> {
  const options = ingestOptions(flags);
  const config = shell.configure({ dsn: flags.dsn, tenant: flags.tenant });
  const files = await inputFiles(names);
  const inputs = files.filter((file) => file !== "-");
  const rejects = flags.rejects === undefined ? undefined : await RejectsWriter.open(flags.rejects, inputs);
  const report = new IngestReport(flags.dryRun ?? false);
  const run = new IngestRun(shell, files, options, report, rejects);
  try {
    if (flags.dryRun) await interruptible(shell, (signal) => run.load(dryRun(bars), signal));
    else await withStore(shell, config, "ingest", (store, signal) => run.load(store.bars, signal));
  } finally {
    await rejects?.close();
    const summary = report.summary();
    if (summary !== "") shell.output.note(summary);
    if (flags.json) await shell.output.json(report.json());
  }
}

/** Checks the flags before any work is done. @throws StoreError `usage`. */
function ingestOptions(flags: IngestFlags): IngestOptions {
  const zone = flags.timezone === undefined ? undefined : timeZone(flags.timezone);
  const columns = {
    columnMap: flags.map,
    constants: flags.set,
    ignoreColumns: flags.ignoreColumns?.flatMap((names) => names.split(",")),
  };
  refuseWrongConstants(columnNames(bars, columns).constants, zone);
  return {
    ...columns,
    format: flags.format,
    ...(zone && { timeZone: zone }),
    ...(flags.upperCase && { upperCase: true }),
    ...(flags.batchRows !== undefined && { batchRows: flags.batchRows }),
  };
}

function refuseWrongConstants(constants: Readonly<Record<string, string>>, zone: TimeZone | undefined): void {
  const rejection = new RowBatch(bars, 1, zone).add(constants);
  // What is missing may be in the file.
  if (rejection === undefined || rejection.code === "field_missing") return;
  throw new StoreError("usage", `--set gives a value that no row can have: ${rejection.message}`);
}

/** The files of one command. */
class IngestRun {
  readonly #shell: Shell;
  readonly #files: readonly string[];
  readonly #options: IngestOptions;
  readonly #report: IngestReport;
  readonly #rejects: RejectsWriter | undefined;
  readonly #boundYoungHeap = youngHeapBound();

  constructor(
    shell: Shell,
    files: readonly string[],
    options: IngestOptions,
    report: IngestReport,
    rejects: RejectsWriter | undefined,
  ) {
    this.#shell = shell;
    this.#files = files;
    this.#options = options;
    this.#report = report;
    this.#rejects = rejects;
  }

  async load(target: IngestTarget<typeof bars>, signal: AbortSignal): Promise<void> {
    const tellStop = (): void => {
      this.#shell.output.note("Stopping after the batch under way; a second Ctrl-C ends at once.");
    };
    signal.addEventListener("abort", tellStop, { once: true });
    let isFailed = false;
    try {
      for (const file of this.#files) {
        signal.throwIfAborted();
        isFailed = !(await this.#loadFile(target, file, signal)) || isFailed;
      }
    } finally {
      signal.removeEventListener("abort", tellStop);
    }
    if (isFailed) this.#shell.exitCode = EXIT.failed;
    else if (this.#report.total.rejected > 0) this.#shell.exitCode = EXIT.rejected;
  }

  /** Whether the file was read to its end. */
  async #loadFile(target: IngestTarget<typeof bars>, file: string, signal: AbortSignal): Promise<boolean> {
    const startedAt = performance.now();
    const done = (counts: Readonly<IngestCounts>, fault?: StoreError): LoadedFile => {
      const loaded = { file, counts, elapsedMs: performance.now() - startedAt, ...(fault && { fault }) };
      this.#report.add(loaded);
      return loaded;
    };
    try {
      const counts = await ingestFile(target, file, {
        ...this.#options,
        signal,
        onRejects: (rejects) => this.#takeRejects(file, rejects),
        onProgress: this.#progress(file, startedAt),
      });
      this.#shell.output.note(this.#report.lineOf(done(counts)));
      return true;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const counts = error.details["ingested"] as IngestCounts;
      const fault = new StoreError(error.code, `${error.message} ${writtenBefore(counts)}`, { cause: error });
      const loaded = done(counts, fault);
      if (counts.read > 0) this.#shell.output.note(this.#report.lineOf(loaded));
      if (!FAULTS_OF_ONE_FILE.has(error.code)) throw fault;
      this.#shell.output.note(`mds: ${fault.message} (${fault.code})`);
      return false;
    }
  }

  async #takeRejects(file: string, rejects: Parameters<RejectsWriter["write"]>[0]): Promise<void> {
    const named = this.#files.length > 1 ? rejects.map((reject) => ({ file, ...reject })) : rejects;
    this.#report.addRejects(named);
    await this.#rejects?.write(named);
  }

  #progress(file: string, startedAt: number): NonNullable<IngestOptions["onProgress"]> {
    let shownAt = startedAt;
    return (counts) => {
      this.#boundYoungHeap();
      const now = performance.now();
      if (now - shownAt < PROGRESS_INTERVAL_MS) return;
      shownAt = now;
      this.#shell.output.progress(this.#report.progressOf(file, counts, now - startedAt));
    };
  }
}
