/**
 * The file `acknowledged.log`: which records are acknowledged, in the order in which they were. Entries are framed with a
 * length and a CRC-32C, so a crash leaves a beginning of that order, which is always a state that once was. Entries are
 * written at once (the death of the process loses none) and fsynced a second later (a power cut loses that second). The
 * file is replaced by a summary when it has grown, and when writing failed: it never makes an acknowledgement fail.
 */
import { type FileHandle, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { crc32c } from "./crc32c.ts";
import { decodeRuns, encodeRuns, type Run, runsOf } from "./number-runs.ts";
import { syncFolder, writeAll } from "./segment-file.ts";

const FILE = "acknowledged.log";
/** CRC-32C of what follows, and the length of the entry. */
const FRAME_BYTES = 8;
/** Size at which a summary is worth its fsync. */
const MAX_BYTES = 4_194_304;
/** After a power cut the acknowledgements of so long may be forgotten, and their records come again. */
const SYNC_AFTER_MS = 1_000;

/** The whole state, as the log's owner knows it. */
export interface AcknowledgedState {
  /** Sequence number that the next record gets. */
  readonly next: number;
  readonly runs: Iterable<Run>;
}

/** What the file of a folder says; nothing where there is none. */
export async function readAcknowledgements(folder: string): Promise<{ next: number; runs: Run[]; isWhole: boolean }> {
  const bytes = await readFile(join(folder, FILE)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return Buffer.alloc(0);
    throw error;
  });
  const runs: Run[] = [];
  let next = 1;
  let at = 0;
  while (at + FRAME_BYTES <= bytes.length) {
    const end = at + FRAME_BYTES + bytes.readUInt32LE(at + 4);
    if (end > bytes.length || crc32c(bytes, at + 4, end) !== bytes.readUInt32LE(at)) break;
    const entry = decodeRuns(bytes.subarray(at + FRAME_BYTES, end));
    next = Math.max(next, entry.head);
    for (const run of entry.runs) runs.push(run);
    at = end;
  }
  return { next, runs, isWhole: at === bytes.length };
}

function entryOf(next: number, runs: Iterable<Run>): Buffer {
  const payload = encodeRuns(next, runs);
  const entry = Buffer.allocUnsafe(FRAME_BYTES + payload.length);
  entry.writeUInt32LE(payload.length, 4);
  payload.copy(entry, FRAME_BYTES);
  entry.writeUInt32LE(crc32c(entry, 4), 0);
  return entry;
}

export class AcknowledgementLog {
  readonly #folder: string;
  readonly #state: () => AcknowledgedState;
  readonly #onFault: (error: unknown) => void;
  #handle: FileHandle | undefined;
  #bytes = 0;
  #maxBytes = MAX_BYTES;
  #waiting: number[] = [];
  /** What is being done to the file; never rejects. */
  #work: Promise<void> = Promise.resolve();
  #isScheduled = false;
  #syncTimer: NodeJS.Timeout | undefined;
  /** After a fault the file is not tried again before this, on the clock of `performance.now()`. */
  #notBefore = 0;

  /** @param state - The whole state with all that was added; may be asked for at any time. */
  constructor(folder: string, state: () => AcknowledgedState, onFault: (error: unknown) => void) {
    this.#folder = folder;
    this.#state = state;
    this.#onFault = onFault;
  }

  /** Takes note of an acknowledgement; it is written soon. */
  add(sequence: number): void {
    this.#waiting.push(sequence);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    void this.#then(() => this.#write());
  }

  /** Replaces the file by a summary that is on disk; without waiting for it where that fails. */
  summarise(): Promise<void> {
    return this.#then(() => this.#replace());
  }

  /** Writes what waits, and gives up the file. */
  async close(): Promise<void> {
    clearTimeout(this.#syncTimer);
    await this.summarise();
    await this.#handle?.close().catch(() => undefined);
    this.#handle = undefined;
  }

  /** One thing after the other. A fault is told, and the next write makes the file anew. */
  #then(task: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(task).catch(async (error: unknown) => {
      this.#onFault(error);
      this.#notBefore = performance.now() + SYNC_AFTER_MS;
      await this.#handle?.close().catch(() => undefined);
      this.#handle = undefined;
    });
    return this.#work;
  }

  async #write(): Promise<void> {
    this.#isScheduled = false;
    const sequences = this.#waiting;
    this.#waiting = [];
    if (performance.now() < this.#notBefore) return; // a later summary tells of these too
    if (this.#handle === undefined || this.#bytes > this.#maxBytes) {
      await this.#replace();
      return;
    }
    const entry = entryOf(this.#state().next, runsOf(sequences));
    await writeAll(this.#handle, entry, this.#bytes);
    this.#bytes += entry.length;
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined;
      void this.#then(async () => this.#handle?.datasync());
    }, SYNC_AFTER_MS).unref();
  }

  async #replace(): Promise<void> {
    this.#waiting = [];
    const { next, runs } = this.#state();
    const entry = entryOf(next, runs);
    const draft = join(this.#folder, `${FILE}.new`);
    const handle = await open(draft, "w", 0o600);
    try {
      await writeAll(handle, entry, 0);
      await handle.datasync();
      await rename(draft, join(this.#folder, FILE));
      await syncFolder(this.#folder);
    } catch (error) {
      await handle.close().catch(() => undefined);
      await rm(draft, { force: true }).catch(() => undefined);
      throw error;
    }
    await this.#handle?.close().catch(() => undefined);
    this.#handle = handle;
    this.#bytes = entry.length;
    this.#maxBytes = Math.max(MAX_BYTES, 2 * entry.length);
  }
}
