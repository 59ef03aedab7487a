/**
 * Loads the files of one command into a dataset. A bad line costs itself alone. A file that cannot be read to its end is
 * told of and the next one is taken; a database that goes away ends the run. Ctrl-C writes what was read and ends
 * with 130.
 */
import type { Store } from "../client/open-store.ts";
import type { Config } from "../config/settings.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { type DatasetName, datasetNamed } from "../datasets/registry.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { StoreError } from "../errors/store-error.ts";
import { dryRun } from "../files/dry-run.ts";
import { type IngestCounts, type IngestOptions, type IngestTarget, ingestFile } from "../files/ingest-file.ts";
import { inputFiles } from "../files/input-files.ts";
import { RejectsWriter } from "../files/rejects-writer.ts";
import { youngHeapBound } from "../resilience/young-heap.ts";
import { withStore, withTrustedLoad } from "./connect.ts";
import type { TenantFlags } from "./flags.ts";
import { IngestReport, type LoadedFile, writtenBefore } from "./ingest-report.ts";
import { interruptible } from "./interruption.ts";
import { PROGRESS_INTERVAL_MS } from "./output.ts";
import { EXIT, type Shell } from "./shell.ts";

/** Flags of all verbs that load files. */
export interface LoadFlags extends TenantFlags {
  readonly rejects?: string;
  readonly batchRows?: number;
  readonly dryRun?: boolean;
  readonly via?: "coordinator";
  readonly trusted?: boolean;
  readonly json?: boolean;
}

/** What is loaded. */
export interface Load {
  /** The verb's name. */
  readonly verb: string;
  readonly dataset: DatasetName;
  /** Files, patterns, `-`. */
  readonly names: readonly string[];
  readonly options: IngestOptions;
}

/** A file with one of these faults is left as far as it was read, and the next one is taken. */
const FAULTS_OF_ONE_FILE: ReadonlySet<ErrorCode> = new Set([
  "file_unreadable",
  "file_encoding",
  "file_columns",
  "file_truncated",
]);

export async function loadFiles(shell: Shell, load: Load, flags: LoadFlags): Promise<void> {
  if (flags.trusted && flags.via !== undefined) {
    throw new StoreError("usage", "--trusted writes past the coordinator; leave out --trusted or --via.");
  }
  const config = shell.configure({ dsn: flags.dsn, tenant: flags.tenant });
  const files = await inputFiles(load.names);
  const inputs = files.filter((file) => file !== "-");
  const rejects = flags.rejects === undefined ? undefined : await RejectsWriter.open(flags.rejects, inputs);
  const report = new IngestReport(flags.dryRun ?? false);
  const options = { ...load.options, ...(flags.batchRows !== undefined && { batchRows: flags.batchRows }) };
  const run = new LoadRun(shell, files, options, report, rejects);
  try {
    if (flags.dryRun) await interruptible(shell, (signal) => run.load(dryRun(datasetNamed(load.dataset)), signal));
    else if (flags.trusted) {
      await withTrustedLoad(shell, config, load.verb, (trusted, signal) =>
        run.load(trusted.dataset(load.dataset), signal),
      );
    } else {
      await withStore(shell, config, load.verb, (store, signal) =>
        flags.via === undefined
          ? run.load(store.dataset(load.dataset), signal)
          : run.loadThroughSpool(store, datasetNamed(load.dataset), config.values, signal),
      );
    }
  } finally {
    await rejects?.close();
    const summary = report.summary();
    if (summary !== "") shell.output.note(summary);
    if (flags.json) await shell.output.json(report.json());
  }
}

/** The files of one command. */
class LoadRun {
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

  async load(target: IngestTarget, signal: AbortSignal): Promise<void> {
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

  async loadThroughSpool(store: Store, dataset: DatasetShape, config: Config, signal: AbortSignal): Promise<void> {
    // Loaded for this way only.
    const { openCoordinatorTarget } = await import("./coordinator-target.ts");
    const target = await openCoordinatorTarget(store, dataset, config, signal);
    const note = (text: string): void => this.#shell.output.note(text);
    try {
      if (target.fromBefore > 0) note(`${target.fromBefore} rows from before are in the spool; they are stored first.`);
      await target.resume();
      await this.load(target, signal);
    } finally {
      await target.close();
      if (target.inSpool > 0) {
        note(`${target.inSpool} accepted rows stay in the spool; the next run like this or the service stores them.`);
      }
      if (target.deadLettered > 0) {
        note(`${target.deadLettered} rows that the database refused are dead letters; see \`mds dlq list\`.`);
        this.#shell.exitCode ||= EXIT.rejected;
      }
    }
  }

  /** Whether the file was read to its end. */
  async #loadFile(target: IngestTarget, file: string, signal: AbortSignal): Promise<boolean> {
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
