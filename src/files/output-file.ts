/**
 * A file that appears under its name only when it is whole and on disk: it is written beside it under a temporary name
 * (`.mds-….tmp`) and renamed, which also replaces an older file in one step. What is not published is removed, also when
 * the process exits early; only a process that is killed outright leaves its temporary file.
 */
import { randomBytes } from "node:crypto";
import { createWriteStream, rmSync } from "node:fs";
import { mkdir, open, realpath, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { escapeUnsafe } from "../datasets/values/show-value.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import type { Compression } from "./source-encoding.ts";
import { compressor } from "./text-form.ts";

/** So that the next bytes are made while those before are written. */
const WRITE_AHEAD_BYTES = 1_048_576;
const PERMISSIONS = 0o777;

export class OutputFile {
  /** As it was given. */
  readonly path: string;
  readonly #target: string;
  readonly #temporary: string;
  readonly #mode: number;
  readonly #removeNow = (): void => rmSync(this.#temporary, { force: true });

  private constructor(given: string, target: string, mode: number) {
    this.path = given;
    this.#target = target;
    this.#mode = mode;
    this.#temporary = path.join(path.dirname(target), `.mds-${process.pid}-${randomBytes(4).toString("hex")}.tmp`);
  }

  /**
   * Makes sure that the file can be made, and its folder. Whoever opens it publishes or discards it.
   *
   * @throws StoreError `file_unwritable`, also where something that is no file has its name.
   */
  static async open(given: string): Promise<OutputFile> {
    try {
      await mkdir(path.dirname(given), { recursive: true });
      // A link stays one: the file that it leads to is replaced.
      const target = await realpath(given).catch(() => path.resolve(given));
      const existing = await stat(target).catch(() => undefined);
      if (existing !== undefined && !existing.isFile()) throw unwritable(given, "what has that name is no file");
      return new OutputFile(given, target, (existing?.mode ?? 0o666) & PERMISSIONS);
    } catch (error) {
      throw error instanceof StoreError ? error : unwritable(given, messageOf(error), error);
    }
  }

  /**
   * Writes everything and has it on disk when it resolves.
   *
   * @returns The file's size in bytes.
   * @throws StoreError `file_unwritable`, `aborted`, and what the source throws.
   */
  async write(source: AsyncIterable<Buffer>, compression: Compression, signal?: AbortSignal): Promise<number> {
    process.once("exit", this.#removeNow);
    const file = createWriteStream(this.#temporary, {
      flags: "wx",
      mode: this.#mode,
      flush: true,
      highWaterMark: WRITE_AHEAD_BYTES,
    });
    const middle = compressor(compression);
    try {
      if (middle === undefined) await pipeline(source, file, { signal });
      else await pipeline(source, middle, file, { signal });
      return file.bytesWritten;
    } catch (error) {
      if (error instanceof StoreError) throw error;
      if (signal?.aborted) throw new StoreError("aborted", `Writing ${escapeUnsafe(this.path)} was stopped.`);
      throw unwritable(this.path, messageOf(error), error);
    }
  }

  /** Gives the file its name. @throws StoreError `file_unwritable`. */
  async publish(): Promise<void> {
    try {
      await rename(this.#temporary, this.#target);
      process.off("exit", this.#removeNow);
      await syncFolder(path.dirname(this.#target));
    } catch (error) {
      throw unwritable(this.path, messageOf(error), error);
    }
  }

  /** Removes what was written, unless it was published. */
  async discard(): Promise<void> {
    process.off("exit", this.#removeNow);
    await rm(this.#temporary, { force: true }).catch(() => undefined);
  }
}

function unwritable(given: string, reason: string, cause?: unknown): StoreError {
  return new StoreError("file_unwritable", `${escapeUnsafe(given)} cannot be written: ${reason}.`, { cause });
}

/** Makes a rename durable, where the system lets folders be synced. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder).catch(() => undefined);
  try {
    await handle?.sync().catch(() => undefined);
  } finally {
    await handle?.close();
  }
}
