/**
 * Writes dead letters into a file of this process, fsynced before a call resolves; calls at the same time share an fsync.
 * A file that is full, failed, or was taken by somebody is left, and the next letters begin a new one.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { type DeadLetter, letterLine } from "./dead-letter.ts";
import type { DeadLetters } from "./dead-letters-port.ts";
import { letterFileName, syncPath } from "./letter-files.ts";

/** A file is read into memory as a whole, and rewritten as a whole for what is taken out of it. */
const MAX_FILE_BYTES = 16_777_216;

/** Each round lost means that somebody took the file in that moment, which people do now and then. */
const MAX_ROUNDS = 100;

export interface DeadLetterOptions {
  /** Made at the first letter when it is not there. */
  readonly folder: string;
  /** Told of letters that are on disk. */
  readonly onKept?: (letters: readonly DeadLetter[]) => void;
  readonly maxFileBytes?: number;
}

interface Waiting {
  readonly letters: readonly DeadLetter[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly path: string;
  /** Identity of the file behind the path. */
  readonly inode: bigint;
  bytes: number;
}

export class DeadLetterWriter implements DeadLetters {
  readonly #folder: string;
  readonly #maxFileBytes: number;
  readonly #onKept: DeadLetterOptions["onKept"];
  #queue: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #file: OpenFile | undefined;
  /** When the newest file was begun: milliseconds since the epoch. */
  #begunAt = 0;
  #isClosed = false;

  /** Touches nothing: the folder is used when there is a letter. */
  constructor(options: DeadLetterOptions) {
    this.#folder = resolve(options.folder);
    this.#maxFileBytes = options.maxFileBytes ?? MAX_FILE_BYTES;
    this.#onKept = options.onKept;
  }

  append(letters: readonly DeadLetter[]): Promise<void> {
    if (this.#isClosed) return Promise.reject(new StoreError("usage", "The dead letters are closed."));
    if (letters.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#queue.push({ letters, resolve, reject });
      this.#writing ??= Promise.resolve().then(() => this.#write());
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#writing;
    await this.#leaveFile();
  }

  async #write(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#queue;
      this.#queue = [];
      try {
        await this.#keep(group.flatMap(({ letters }) => letters));
        for (const { letters, resolve } of group) {
          this.#onKept?.(letters);
          resolve();
        }
      } catch (cause) {
        const fault = new StoreError(
          "dead_letters_unavailable",
          `Dead letters cannot be written to ${this.#folder}: ${messageOf(cause)}.`,
          { cause },
        );
        for (const { reject } of group) reject(fault);
      }
    }
    this.#writing = undefined;
  }

  async #keep(letters: readonly DeadLetter[]): Promise<void> {
    const now = Date.now();
    let lines: string[] = [];
    let characters = 0;
    for (const letter of letters) {
      const line = letterLine(letter, now);
      lines.push(line);
      characters += line.length;
      if (characters < this.#maxFileBytes) continue;
      await this.#keepBytes(Buffer.from(lines.join("")));
      lines = [];
      characters = 0;
    }
    if (lines.length > 0) await this.#keepBytes(Buffer.from(lines.join("")));
  }

  /** Writes until the lines are in a file that nobody took away meanwhile. */
  async #keepBytes(bytes: Buffer): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const isFull = this.#file !== undefined && this.#file.bytes + bytes.length > this.#maxFileBytes;
      if (isFull && this.#file!.bytes > 0) await this.#leaveFile();
      const file = this.#file ?? (await this.#newFile());
      try {
        await file.handle.appendFile(bytes);
        await file.handle.datasync();
      } catch (error) {
        await file.handle.truncate(file.bytes).catch(() => undefined); // else readers skip the torn line
        await this.#leaveFile();
        throw error;
      }
      file.bytes += bytes.length;
      if (await isStillThere(file)) return;
      await this.#leaveFile();
    }
    throw new StoreError("dead_letters_unavailable", `Its files were taken away ${MAX_ROUNDS} times in a row`);
  }

  async #newFile(): Promise<OpenFile> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const unique = `${process.pid}-${randomBytes(4).toString("hex")}`;
    // Files are read in the order of their names, whatever the clock does.
    this.#begunAt = Math.max(Date.now(), this.#begunAt + 1);
    const path = join(this.#folder, letterFileName(new Date(this.#begunAt), unique));
    const handle = await open(path, "ax", 0o600);
    try {
      const { ino } = await handle.stat({ bigint: true });
      await syncPath(this.#folder);
      this.#file = { handle, path, inode: ino, bytes: 0 };
      return this.#file;
    } catch (error) {
      await handle.close().catch(() => undefined);
      throw error;
    }
  }

  async #leaveFile(): Promise<void> {
    await this.#file?.handle.close().catch(() => undefined);
    this.#file = undefined;
  }
}

async function isStillThere({ path, inode }: OpenFile): Promise<boolean> {
  const found = await stat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return found?.ino === inode;
}
