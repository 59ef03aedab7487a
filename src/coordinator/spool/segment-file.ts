/**
 * Segment files: their names, their header, and the writer of the newest one. A file appears with its header on disk and
 * its name durable before it gets a record, so one that is shorter than that never held anything.
 */
import { type FileHandle, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { crc32c } from "./crc32c.ts";
import { Segment } from "./segment.ts";

/** Magic (8 bytes), CRC-32C of what follows (4), version of the format (4), sequence number of the first record (8). */
export const HEADER_BYTES = 24;
const MAGIC = "mdsspool";
const VERSION = 1;
const NAME = /^segment-(\d{16})\.log$/;

/** A segment file by its name. */
export interface SegmentName {
  readonly path: string;
  readonly first: number;
}

/** The segment files of a folder, oldest first. */
export async function listSegments(folder: string): Promise<SegmentName[]> {
  return (await readdir(folder))
    .map((entry) => ({ path: join(folder, entry), first: Number(NAME.exec(entry)?.[1] ?? 0) }))
    .filter(({ first }) => first > 0)
    .sort((a, b) => a.first - b.first);
}

/** Whether these are the first bytes of the segment that begins with this record. */
export function isHeader(bytes: Buffer, first: number): boolean {
  return bytes.subarray(0, HEADER_BYTES).equals(headerOf(first));
}

function headerOf(first: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, 0, "latin1");
  header.writeUInt32LE(VERSION, 12);
  header.writeBigUInt64LE(BigInt(first), 16);
  header.writeUInt32LE(crc32c(header, 12), 8);
  return header;
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** All bytes, whatever the number of calls that takes. */
export async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** Where in a group of records one lies that is to be remembered. */
export interface GroupMark {
  /** Its place in the group. */
  readonly at: number;
  /** Where it begins in the group's bytes. */
  readonly offset: number;
  readonly acceptedAt: number;
}

/** Appends groups to a new segment. One call at a time. */
export class SegmentWriter {
  readonly segment: Segment;
  readonly #handle: FileHandle;
  #isUsable = true;

  private constructor(segment: Segment, handle: FileHandle) {
    this.segment = segment;
    this.#handle = handle;
  }

  /** Makes the segment's file. When it cannot be made, nothing of it stays, as far as that can be had. */
  static async create(folder: string, first: number): Promise<SegmentWriter> {
    const path = join(folder, `segment-${String(first).padStart(16, "0")}.log`);
    const handle = await open(path, "wx", 0o600);
    try {
      await writeAll(handle, headerOf(first), 0);
      await handle.datasync();
      await syncFolder(folder);
      return new SegmentWriter(new Segment(path, first, HEADER_BYTES), handle);
    } catch (error) {
      await handle.close().catch(() => undefined);
      await rm(path, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  /** False once an fsync failed: what the disk holds of the pages written since the last one is not known any more. */
  get isUsable(): boolean {
    return this.#isUsable;
  }

  /** Writes a group and waits until it is on disk. When it fails, the records before are untouched. */
  async append(bytes: Buffer, records: number, marks: readonly GroupMark[]): Promise<void> {
    const { segment } = this;
    const at = segment.bytes;
    let written = false;
    try {
      await writeAll(this.#handle, bytes, at);
      written = true;
      await this.#handle.datasync();
    } catch (error) {
      // Only a full disk leaves a file that can be gone on with, and only when the fault came before the fsync.
      this.#isUsable = !written && isDiskFull(error);
      await this.#handle.truncate(at).catch(() => {
        this.#isUsable = false;
      });
      throw error;
    }
    for (const mark of marks) segment.mark(segment.count + mark.at, at + mark.offset, mark.acceptedAt);
    segment.grow(records, bytes.length);
  }

  /** Ends the segment; its records are durable already. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
  }
}

/** Whether an error of the file system says that there is no room. */
export function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG";
}
