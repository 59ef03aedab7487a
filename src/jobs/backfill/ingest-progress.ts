/**
 * How far an ingest-files job is: what a checkpoint keeps and what the result says. Counts are of the whole job over all
 * its attempts; lists are bounded, and what they leave out is counted.
 */
import { createHash } from "node:crypto";
import type { WrittenRows } from "../../client/upsert.ts";
import { formatTime } from "../../datasets/values/time.ts";
import type { StoreError } from "../../errors/store-error.ts";
import type { FilePosition, IngestCounts } from "../../files/ingest-file.ts";
import type { Reject } from "../../files/rejects-writer.ts";
import { BoundedList } from "../bounded-list.ts";

/** Rejects listed; all are counted. */
const MAX_LISTED_REJECTS = 100;
/** Bytes of the lists, which together with the rest have to fit a checkpoint of a megabyte. */
const MAX_FILES_BYTES = 400_000;
const MAX_FAILURES_BYTES = 200_000;
const MAX_REJECTS_BYTES = 100_000;
/** Names and messages are cut at this, so that one of them cannot crowd out the others. */
const MAX_SHOWN_CHARACTERS = 1_000;

/** Earliest and latest time of written rows, microseconds since the epoch. */
export interface Span {
  minUs?: number;
  maxUs?: number;
}

interface FileResult extends IngestCounts {
  readonly file: string;
  readonly min_ts: string | null;
  readonly max_ts: string | null;
}

interface Failure {
  readonly file: string;
  readonly code: string;
  readonly message: string;
}

type ListedReject = Pick<Reject, "file" | "line" | "code" | "error">;

/** A file under way, as it was when a checkpoint was saved. */
export interface StartedFile {
  readonly at: number;
  /** Of its content: what was read counts only while it is the same. */
  readonly version: string;
  readonly position: FilePosition;
  readonly span: Span;
}

interface Saved {
  readonly plan: string;
  readonly next: number;
  readonly failed: readonly number[];
  readonly retryable: boolean;
  readonly read: number;
  readonly started: StartedFile | null;
  readonly counts: IngestCounts;
  readonly span: Span;
  readonly files: { readonly items: readonly FileResult[]; readonly left_out: number };
  readonly rejects: { readonly items: readonly ListedReject[]; readonly left_out: number };
}

export class IngestProgress {
  readonly #plan: string;
  readonly #count: number;
  /** Files before this one were tried. */
  #next = 0;
  #failed: number[] = [];
  #isRetryable = false;
  #read = 0;
  #started: StartedFile | undefined;
  readonly #counts = noCounts();
  readonly #span: Span = {};
  readonly #files = new BoundedList<FileResult>(MAX_FILES_BYTES);
  readonly #failures = new BoundedList<Failure>(MAX_FAILURES_BYTES);
  readonly #rejects = new BoundedList<ListedReject>(MAX_REJECTS_BYTES);

  /** @param sources - The names of all files, in order. A checkpoint of another list is worth nothing. */
  constructor(sources: readonly string[], checkpoint: unknown) {
    this.#count = sources.length;
    this.#plan = createHash("sha256").update(JSON.stringify(sources)).digest("hex");
    const saved = checkpoint as Saved | undefined | null;
    if (saved?.plan === this.#plan) this.#restore(saved);
  }

  /** Places of the files that are still to be read: those that failed in an earlier attempt first. */
  takePending(): number[] {
    const again = this.#failed;
    this.#failed = [];
    this.#isRetryable = false;
    return [...again, ...Array.from({ length: this.#count - this.#next }, (_, at) => this.#next + at)];
  }

  /** Where an earlier attempt left this file off. */
  startedAt(at: number, version: string): StartedFile | undefined {
    const started = this.#started;
    return started?.at === at && started.version === version && version !== "" ? started : undefined;
  }

  start(file: StartedFile): void {
    this.#started = file;
  }

  finish(at: number, file: string, counts: Readonly<IngestCounts>, span: Span): void {
    this.#passed(at);
    this.#read++;
    for (const name of Object.keys(this.#counts) as (keyof IngestCounts)[]) this.#counts[name] += counts[name];
    widen(this.#span, span);
    this.#files.add({ file: cut(file), ...counts, ...spanText(span) });
  }

  fail(at: number, file: string, fault: StoreError): void {
    this.#passed(at);
    this.#failed.push(at);
    this.#isRetryable ||= fault.retryable;
    this.#failures.add({ file: cut(file), code: fault.code, message: cut(fault.message) });
  }

  addRejects(file: string, rejects: readonly Reject[]): void {
    for (const { line, code, error } of rejects) {
      if (this.#rejects.items.length === MAX_LISTED_REJECTS) return;
      this.#rejects.add({ file: cut(file), line, code, error: cut(error) });
    }
  }

  /** How many files failed in this attempt. */
  get failed(): number {
    return this.#failed.length;
  }

  /** Whether one of the failed files may be there when it is tried again. */
  get isRetryable(): boolean {
    return this.#isRetryable;
  }

  get failures(): readonly Failure[] {
    return this.#failures.items;
  }

  /** For the next attempt; of files that `pending` still lists it keeps that they are to be read. */
  checkpoint(pending: readonly number[]): Saved {
    return {
      plan: this.#plan,
      next: this.#next,
      failed: [...this.#failed, ...pending.filter((at) => at < this.#next)],
      retryable: this.#isRetryable,
      read: this.#read,
      started: this.#started ?? null,
      counts: this.#counts,
      span: this.#span,
      files: this.#files.toJSON(),
      rejects: this.#rejects.toJSON(),
    };
  }

  result(): object {
    return {
      files: { total: this.#count, read: this.#read, failed: this.#failed.length },
      rows: this.#counts,
      ...spanText(this.#span),
      failures: this.#failures.items,
      by_file: this.#files.items,
      by_file_left_out: this.#files.leftOut,
      rejects: this.#rejects.items,
    };
  }

  #passed(at: number): void {
    this.#next = Math.max(this.#next, at + 1);
    this.#started = undefined;
  }

  #restore(saved: Saved): void {
    this.#next = saved.next;
    this.#failed = [...saved.failed];
    this.#isRetryable = saved.retryable;
    this.#read = saved.read;
    this.#started = saved.started ?? undefined;
    Object.assign(this.#counts, saved.counts);
    Object.assign(this.#span, saved.span);
    this.#files.restore(saved.files);
    this.#rejects.restore(saved.rejects);
  }
}

export function noCounts(): IngestCounts {
  return { read: 0, inserted: 0, updated: 0, unchanged: 0, superseded: 0, rejected: 0 };
}

/** Widens a span by the times of rows. */
export function widenByRows(span: Span, { times, size }: WrittenRows): void {
  let min = span.minUs ?? Number.POSITIVE_INFINITY;
  let max = span.maxUs ?? Number.NEGATIVE_INFINITY;
  for (let at = 0; at < size; at++) {
    const time = times[at]!;
    if (time < min) min = time;
    if (time > max) max = time;
  }
  if (size > 0) Object.assign(span, { minUs: min, maxUs: max });
}

function widen(span: Span, by: Span): void {
  if (by.minUs === undefined || by.maxUs === undefined) return;
  span.minUs = Math.min(span.minUs ?? by.minUs, by.minUs);
  span.maxUs = Math.max(span.maxUs ?? by.maxUs, by.maxUs);
}

function spanText({ minUs, maxUs }: Span): { min_ts: string | null; max_ts: string | null } {
  return {
    min_ts: minUs === undefined ? null : formatTime(minUs),
    max_ts: maxUs === undefined ? null : formatTime(maxUs),
  };
}

function cut(text: string): string {
  return text.length <= MAX_SHOWN_CHARACTERS ? text : `${text.slice(0, MAX_SHOWN_CHARACTERS)}…`.toWellFormed();
}
