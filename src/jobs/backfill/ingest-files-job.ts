/**
 * `ingest-files`: brings files and URLs into a dataset of a tenant, from where the operator allows it and from nowhere
 * else, whoever started the job. A bad line costs itself alone, a bad file itself alone: the others are read, and the job
 * then ends as failed and names it. Goes on from its checkpoint after a crash; what is read twice changes nothing.
 */
import type { IngestFilesInput, ingestFilesInput } from "../../control/job-inputs.ts";
import { DATASET_NAMES, type DatasetName } from "../../datasets/registry.ts";
import type { ErrorCode } from "../../errors/codes.ts";
import { StoreError } from "../../errors/store-error.ts";
import { type IngestCounts, type IngestOptions, type IngestTarget, ingestFile } from "../../files/ingest-file.ts";
import { ingestOptions } from "../../files/ingest-options.ts";
import { isPattern } from "../../files/input-files.ts";
import { defineJob, type JobContext, type JobDefinition } from "../define-job.ts";
import { allowedSource, type BackfillAccess, bearerToken, type SourceName, shownName } from "./backfill-access.ts";
import { IngestProgress, noCounts, type Span, widenByRows } from "./ingest-progress.ts";
import { matchingFiles, type OpenedSource, openLocalFile } from "./local-files.ts";
import { openUrl } from "./remote-files.ts";

/** Files of one job, patterns expanded; their places have to fit a checkpoint. */
const MAX_FILES = 10_000;
/** Records between two checkpoints: about a second's work. */
const ROWS_PER_CHECKPOINT = 100_000;
/** Symbols that the ledger is told of; a run keeps no more. */
const MAX_SYMBOLS = 100_000;
/** Failed files that the error names; the ledger has more of them. */
const MAX_NAMED_FAILURES = 3;

/** These end the reading of one file and say nothing about the others. */
const FAULTS_OF_ONE_FILE: ReadonlySet<ErrorCode> = new Set([
  "backfill_refused",
  "file_unreadable",
  "file_encoding",
  "file_columns",
  "file_truncated",
  "source_unavailable",
  "usage",
]);

/** The job, with what the operator allows it. */
export function ingestFilesJob(access: BackfillAccess): JobDefinition<typeof ingestFilesInput> {
  return defineJob({
    name: "ingest-files",
    description: "Brings CSV and NDJSON files, or URLs of them, into a dataset.",
    schema: async () => (await import("../../control/job-inputs.ts")).ingestFilesInput,
    mode: "backfill",
    tenantOf: ({ tenant }) => tenant,
    datasetOf: ({ dataset }) => dataset,
    accept: (input) => void requestOf(input, access),
    run: (context) => ingestFiles(context, access),
  });
}

/** What is asked for, checked as far as it can be without opening anything. */
function requestOf(
  input: IngestFilesInput,
  access: BackfillAccess,
): { dataset: DatasetName; options: IngestOptions; sources: readonly SourceName[]; token: string | undefined } {
  const dataset = DATASET_NAMES.find((name) => name === input.dataset);
  if (dataset === undefined) {
    throw new StoreError("usage", `There is no dataset "${input.dataset}"; these are: ${DATASET_NAMES.join(", ")}.`);
  }
  const { format, map, set, timezone, ignore_columns: ignoreColumns, upper_case: upperCase } = input;
  const options = ingestOptions(dataset, { format, map, set, timezone, ignoreColumns, upperCase });
  const sources = input.files.map((name) => allowedSource(name, access));
  return { dataset, options, sources, token: bearerToken(input.credentials, access) };
}

async function ingestFiles(context: JobContext<IngestFilesInput>, access: BackfillAccess): Promise<object> {
  const { dataset, options, sources, token } = requestOf(context.input, access);
  const store = await context.openStore(context.input.tenant);
  const files = await allFiles(sources, access);
  const progress = new IngestProgress(files.map(textOf), context.checkpoint);
  const run = new IngestRun(context, store.dataset(dataset), options, progress, access, token);
  const pending = progress.takePending();
  while (pending.length > 0) {
    const at = pending.shift()!;
    await run.ingest(at, files[at]!, pending);
    await context.saveCheckpoint(progress.checkpoint(pending));
  }
  const result = progress.result();
  if (progress.failed === 0) return result;
  await context.report({ metadata: { failed_files: progress.failures } });
  throw incomplete(progress, files.length, result);
}

function incomplete(progress: IngestProgress, files: number, result: object): StoreError {
  const named = progress.failures.slice(0, MAX_NAMED_FAILURES).map(({ code, message }) => `${message} (${code})`);
  const rest = progress.failed > named.length ? ` And ${progress.failed - named.length} more.` : "";
  const message = `${progress.failed} of ${files} files could not be read to their end: ${named.join(" ")}${rest}`;
  return new StoreError(progress.isRetryable ? "source_unavailable" : "backfill_incomplete", message, {
    details: { result },
  });
}

const textOf = (source: SourceName): string => (source.kind === "url" ? source.url.href : source.path);

/** Patterns expanded, each file once. A pattern that matches nothing stays, to fail as a file that is not there. */
async function allFiles(sources: readonly SourceName[], access: BackfillAccess): Promise<SourceName[]> {
  const files = new Map<string, SourceName>();
  for (const source of sources) {
    const isExpanded = source.kind === "file" && isPattern(source.path);
    const matching = isExpanded ? await matchingFiles(source.path, access.dirs, MAX_FILES) : [];
    for (const path of matching) files.set(path, { kind: "file", path });
    if (matching.length === 0) files.set(textOf(source), source);
    if (files.size > MAX_FILES) {
      throw new StoreError("usage", `More than ${MAX_FILES} files match; ask for fewer of them in one job.`);
    }
  }
  return [...files.values()];
}

/** The files of one attempt. */
class IngestRun {
  readonly #context: JobContext<IngestFilesInput>;
  readonly #target: IngestTarget;
  readonly #options: IngestOptions;
  readonly #progress: IngestProgress;
  readonly #access: BackfillAccess;
  readonly #token: string | undefined;
  readonly #symbolAt: number;
  /** Symbols that the ledger was told of, or is about to be. */
  readonly #symbols = new Set<string>();
  #newSymbols: string[] = [];

  constructor(
    context: JobContext<IngestFilesInput>,
    target: IngestTarget,
    options: IngestOptions,
    progress: IngestProgress,
    access: BackfillAccess,
    token: string | undefined,
  ) {
    this.#context = context;
    this.#target = target;
    this.#options = options;
    this.#progress = progress;
    this.#access = access;
    this.#token = token;
    this.#symbolAt = target.dataset.dimensions.findIndex(({ name }) => name === "symbol");
  }

  /** Reads a file to its end, or notes why it could not be. Other faults end the attempt. */
  async ingest(at: number, source: SourceName, pending: readonly number[]): Promise<void> {
    const name = shownName(textOf(source));
    try {
      await this.#ingest(at, await this.#open(source), pending);
    } catch (error) {
      if (!(error instanceof StoreError) || !FAULTS_OF_ONE_FILE.has(error.code)) throw error;
      this.#context.log.warn({ code: error.code, file: name }, `A file was not read to its end: ${error.message}`);
      this.#progress.fail(at, name, error);
    }
  }

  #open(source: SourceName): Promise<OpenedSource> {
    if (source.kind === "file") return openLocalFile(source.path, this.#access.dirs);
    return openUrl(source.url, this.#access, { token: this.#token, signal: this.#context.signal });
  }

  async #ingest(at: number, { name, version, stream }: OpenedSource, pending: readonly number[]): Promise<void> {
    const before = this.#progress.startedAt(at, version);
    const span: Span = { ...before?.span };
    let told: Readonly<IngestCounts> = before?.position.counts ?? noCounts();
    const tell = async (counts: Readonly<IngestCounts>): Promise<void> => {
      await this.#report(name, told, counts, span);
      told = { ...counts };
    };
    try {
      const counts = await ingestFile(this.#target, name, {
        ...this.#options,
        input: stream,
        signal: this.#context.signal,
        ...(before && { from: before.position }),
        onRejects: (rejects) => this.#progress.addRejects(name, rejects),
        onWritten: (rows) => {
          widenByRows(span, rows);
          this.#noteSymbols(rows.series);
        },
        positions: {
          everyRows: ROWS_PER_CHECKPOINT,
          onPosition: async (position) => {
            await tell(position.counts);
            this.#progress.start({ at, version, position, span: { ...span } });
            await this.#context.saveCheckpoint(this.#progress.checkpoint([at, ...pending]));
          },
        },
      });
      this.#progress.finish(at, name, counts, span);
    } catch (error) {
      const counts = (error as { details?: { ingested?: IngestCounts } }).details?.ingested;
      if (counts !== undefined && !this.#context.signal.aborted) await tell(counts);
      throw error;
    } finally {
      stream.destroy();
    }
  }

  #noteSymbols(series: readonly (readonly string[])[]): void {
    if (this.#symbolAt < 0) return;
    for (const dimensions of series) {
      const symbol = dimensions[this.#symbolAt]!;
      if (this.#symbols.has(symbol) || this.#symbols.size >= MAX_SYMBOLS) continue;
      this.#symbols.add(symbol);
      this.#newSymbols.push(symbol);
    }
  }

  async #report(file: string, before: Readonly<IngestCounts>, now: Readonly<IngestCounts>, span: Span): Promise<void> {
    const symbols = this.#newSymbols;
    this.#newSymbols = [];
    await this.#context.report({
      rows_written: now.inserted + now.updated - before.inserted - before.updated,
      rows_failed: now.rejected - before.rejected,
      ...(symbols.length > 0 && { symbols }),
      ...(span.minUs !== undefined && { min_ts: BigInt(span.minUs), max_ts: BigInt(span.maxUs!) }),
      message: `Reading ${file}: ${now.read} records so far.`,
    });
  }
}
