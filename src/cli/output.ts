/**
 * The only owner of stdout and stderr: data goes to stdout, everything else to stderr, with secrets taken out. When
 * whoever reads stdout has gone, what is still to come is dropped quietly. Shows one progress line on a terminal.
 */
import { hideSecrets } from "../errors/hide-secrets.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";

/** A progress line is written anew this often: fast enough to look alive. */
export const PROGRESS_INTERVAL_MS = 100;
const CLEAR_LINE = "\r\u001b[K";
const DEFAULT_COLUMNS = 80;

export class Output {
  #readerIsGone = false;
  #fault: Error | undefined;
  #progressShown = false;

  /** Make one a process. */
  constructor() {
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") this.#readerIsGone = true;
      else this.#fault = error;
    });
    process.stderr.on("error", () => {});
  }

  /** Whether nobody reads stdout any more, so that there is no use in going on. */
  get readerIsGone(): boolean {
    return this.#readerIsGone;
  }

  /** Whether a progress line would be seen. */
  get showsProgress(): boolean {
    return process.stderr.isTTY;
  }

  /**
   * Writes data as it is; resolves when it is on its way, so that a slow reader slows down the writer.
   * @throws StoreError `file_unwritable`, for example when a disk is full.
   */
  async data(text: string | Uint8Array): Promise<void> {
    if (this.#readerIsGone || text.length === 0) return;
    await new Promise<void>((resolve) => {
      process.stdout.write(text, () => resolve());
    });
    if (this.#fault !== undefined) {
      throw new StoreError("file_unwritable", `Standard output cannot be written: ${messageOf(this.#fault)}.`);
    }
  }

  /** One JSON document. */
  json(value: unknown): Promise<void> {
    return this.data(`${JSON.stringify(value, undefined, 2)}\n`);
  }

  /** A line for people. */
  note(text: string): void {
    this.#clearProgress();
    process.stderr.write(`${hideSecrets(text)}\n`);
  }

  /** Replaces the progress line. */
  progress(text: string): void {
    if (!this.showsProgress) return;
    // A terminal that does not tell its width says 0.
    const width = process.stderr.columns || DEFAULT_COLUMNS;
    process.stderr.write(CLEAR_LINE + text.slice(0, width - 1));
    this.#progressShown = true;
  }

  #clearProgress(): void {
    if (this.#progressShown) process.stderr.write(CLEAR_LINE);
    this.#progressShown = false;
  }
}
