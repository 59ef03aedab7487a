/**
 * Writes what could not be stored as NDJSON, `{"line":N,"code":…,"error":…,"row":…}`, so that it can be mended and read
 * again. The file is made with the first reject (a run without any leaves no file, and an older one as it was) and is
 * on disk when `close` returns.
 */
import { constants } from "node:fs";
import { access, type FileHandle, open, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { escapeUnsafe } from "../datasets/values/show-value.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";

/** A record that could not be stored. */
export interface Reject {
  /** The file it is from, where there are several. */
  readonly file?: string | undefined;
  /** Number of its (first) line. */
  readonly line: number;
  readonly code: ErrorCode;
  readonly error: string;
  /** The record: its values by column, or its text where it could not be read. */
  readonly row: unknown;
}

/** A rejects file. Every one that was opened has to be closed. */
export class RejectsWriter {
  readonly #path: string;
  #file: FileHandle | undefined;
  #count = 0;

  private constructor(filePath: string) {
    this.#path = filePath;
  }

  /**
   * Names the file and makes sure, before any work is done, that it can be written.
   *
   * @param inputs - The files that are read, none of which it may be.
   * @throws StoreError `file_unwritable`, or `usage` for `-` and for an input.
   */
  static async open(filePath: string, inputs: readonly string[] = []): Promise<RejectsWriter> {
    if (filePath === "-") {
      throw new StoreError("usage", "Rejects go to a file, not to standard output; name one with --rejects FILE.");
    }
    const writer = new RejectsWriter(filePath);
    await writer.#check(inputs);
    return writer;
  }

  /** How many rejects were written. */
  get count(): number {
    return this.#count;
  }

  /** @throws StoreError `file_unwritable`. */
  async write(rejects: readonly Reject[]): Promise<void> {
    if (rejects.length === 0) return;
    try {
      this.#file ??= await open(this.#path, "w");
      await this.#file.appendFile(rejects.map(rejectLine).join(""));
      this.#count += rejects.length;
    } catch (error) {
      throw this.#unwritable(messageOf(error), error);
    }
  }

  /** Makes the file durable and closes it. @throws StoreError `file_unwritable`. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      await file.sync();
    } catch (error) {
      throw this.#unwritable(messageOf(error), error);
    } finally {
      await file.close();
    }
  }

  async #check(inputs: readonly string[]): Promise<void> {
    const existing = await realpath(this.#path).catch(() => undefined);
    for (const input of existing === undefined ? [] : inputs) {
      if ((await realpath(input).catch(() => undefined)) !== existing) continue;
      throw new StoreError("usage", `${escapeUnsafe(this.#path)} is read from; rejects need a file of their own.`);
    }
    try {
      await access(existing ?? path.dirname(path.resolve(this.#path)), constants.W_OK);
    } catch (error) {
      throw this.#unwritable(messageOf(error), error);
    }
    if (existing !== undefined && (await stat(existing)).isDirectory()) throw this.#unwritable("it is a directory");
  }

  #unwritable(reason: string, cause?: unknown): StoreError {
    const message = `Rejects cannot be written to ${escapeUnsafe(this.#path)} (${reason}); name another file.`;
    return new StoreError("file_unwritable", message, { cause });
  }
}

function rejectLine({ file, line, code, error, row }: Reject): string {
  const fields = file === undefined ? { line, code, error, row } : { file, line, code, error, row };
  return `${JSON.stringify(fields, bigintAsText)}\n`;
}

function bigintAsText(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
