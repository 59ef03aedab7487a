/** What people and programs are told of files that were loaded: progress, counts, and the first rejects by reason. */
import type { ErrorCode } from "../errors/codes.ts";
import type { StoreError } from "../errors/store-error.ts";
import type { IngestCounts } from "../files/ingest-file.ts";
import type { Reject } from "../files/rejects-writer.ts";

/** Rejects shown; the rest is counted, and in the file of --rejects. */
const MAX_SHOWN_REJECTS = 10;

const NUMBER = new Intl.NumberFormat("en-US");

/** A file that was loaded, or as much of it as could be. */
export interface LoadedFile {
  readonly file: string;
  readonly counts: Readonly<IngestCounts>;
  readonly elapsedMs: number;
  readonly fault?: StoreError;
}

interface ShownReject extends Omit<Reject, "row"> {}

/** Everything that a run has loaded so far. */
export class IngestReport {
  readonly #isDryRun: boolean;
  readonly #files: LoadedFile[] = [];
  readonly #shown: ShownReject[] = [];
  readonly #rejected = new Map<ErrorCode, number>();

  constructor(isDryRun: boolean) {
    this.#isDryRun = isDryRun;
  }

  get total(): IngestCounts {
    const total: IngestCounts = { read: 0, inserted: 0, updated: 0, unchanged: 0, superseded: 0, rejected: 0 };
    for (const { counts } of this.#files) {
      for (const name of Object.keys(total) as (keyof IngestCounts)[]) total[name] += counts[name];
    }
    return total;
  }

  add(file: LoadedFile): void {
    this.#files.push(file);
  }

  addRejects(rejects: readonly Reject[]): void {
    for (const { file, line, code, error } of rejects) {
      this.#rejected.set(code, (this.#rejected.get(code) ?? 0) + 1);
      if (this.#shown.length < MAX_SHOWN_REJECTS) this.#shown.push({ ...(file && { file }), line, code, error });
    }
  }

  /** The progress line of a file. */
  progressOf(file: string, counts: Readonly<IngestCounts>, elapsedMs: number): string {
    const rows = this.#isDryRun ? counts.read : storedRows(counts) + counts.rejected;
    return `${file}: ${NUMBER.format(rows)} rows, ${rate(rows, elapsedMs)} rows/s, ${NUMBER.format(counts.rejected)} rejected`;
  }

  /** One line on a file. */
  lineOf({ file, counts, elapsedMs }: LoadedFile): string {
    const seconds = `${(elapsedMs / 1_000).toFixed(1)} s, ${rate(counts.read, elapsedMs)} rows/s`;
    return `${file}: ${NUMBER.format(counts.read)} rows in ${seconds}: ${this.#countsText(counts)}.`;
  }

  /** The whole run for people; empty where the lines of its files have said it all. */
  summary(): string {
    const lines: string[] = [];
    if (this.#files.length > 1) {
      const total = this.total;
      lines.push(`Together ${NUMBER.format(total.read)} rows: ${this.#countsText(total)}.`);
    }
    if (this.#isDryRun) lines.push("This was a dry run; nothing was written.");
    return [...lines, ...this.#rejectLines()].join("\n");
  }

  /** The whole run for programs. */
  json(): object {
    return {
      dry_run: this.#isDryRun,
      files: this.#files.map(({ file, counts, elapsedMs, fault }) => ({
        file,
        ...counts,
        elapsed_ms: Math.round(elapsedMs),
        ...(fault && { error: { code: fault.code, message: fault.message } }),
      })),
      total: this.total,
      rejections: this.#shown,
    };
  }

  #countsText(counts: Readonly<IngestCounts>): string {
    const { inserted, updated, unchanged, superseded, rejected } = counts;
    const parts = this.#isDryRun
      ? [`${NUMBER.format(counts.read - rejected)} good`]
      : [
          `${NUMBER.format(inserted)} inserted`,
          `${NUMBER.format(updated)} updated`,
          `${NUMBER.format(unchanged)} unchanged`,
          `${NUMBER.format(superseded)} superseded`,
        ];
    return [...parts, `${NUMBER.format(rejected)} rejected`].join(", ");
  }

  #rejectLines(): string[] {
    const { rejected } = this.total;
    if (rejected === 0) return [];
    const which = rejected > this.#shown.length ? `, the first ${this.#shown.length} of them` : "";
    const lines = [`Rejected by reason${which}:`];
    for (const [code, count] of this.#rejected) {
      lines.push(`  ${code} (${NUMBER.format(count)})`);
      for (const shown of this.#shown.filter((one) => one.code === code)) {
        lines.push(`    ${shown.file === undefined ? "" : `${shown.file} `}line ${shown.line}: ${shown.error}`);
      }
    }
    if (this.#shown.some(({ code, error }) => code === "field_missing" && error.includes("part of the key"))) {
      lines.push("  A field that the rows lack can be given for all of them: --set vendor=NAME, --set timeframe=1m.");
    }
    return lines;
  }
}

/** Rows that are in the database now and came from the file. */
function storedRows({ inserted, updated, unchanged, superseded }: Readonly<IngestCounts>): number {
  return inserted + updated + unchanged + superseded;
}

/** What of a file that was not read to its end is safe, and how to go on; the end of a sentence about why. */
export function writtenBefore(counts: Readonly<IngestCounts>): string {
  const rows = storedRows(counts);
  if (rows === 0) return "Nothing of it was written.";
  return `Before that, ${NUMBER.format(rows)} of its rows were written; loading it again changes nothing about those.`;
}

function rate(rows: number, elapsedMs: number): string {
  return NUMBER.format(Math.round(rows / Math.max(elapsedMs / 1_000, 0.001)));
}
