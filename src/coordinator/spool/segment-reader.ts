/**
 * Reads the records of one segment in order, every checksum checked, with bounded memory. Damage costs the records that
 * it hit: the reader says which, finds the next whole one and goes on.
 */
import { type FileHandle, open } from "node:fs/promises";
import { FRAME_BYTES, type Frame, findFrame, readFrame } from "./record-frame.ts";
import type { Segment } from "./segment.ts";
import { HEADER_BYTES } from "./segment-file.ts";

/** What is read at once: far above the cost of a call, far below what hurts in memory. */
const CHUNK_BYTES = 1_048_576;

/** Records as they lie in `bytes`, which is theirs alone. */
export interface FrameBatch {
  readonly bytes: Buffer;
  readonly frames: readonly Frame[];
}

/** Told of records, from one place to before another, that cannot be read any more. */
export type OnDamage = (from: number, to: number) => Promise<void>;

/** The records from a place on, up to the last durable one at the time when it is reached. */
export async function* readSegment(segment: Segment, from: number, onDamage: OnDamage): AsyncGenerator<FrameBatch> {
  const handle = await open(segment.path, "r");
  try {
    const start = segment.markBefore(from);
    let index = start?.index ?? 0;
    let offset = start?.offset ?? HEADER_BYTES;
    let wanted = CHUNK_BYTES;
    while (index < segment.count) {
      const { bytes: end, count } = segment;
      const bytes = await readAt(handle, offset, Math.min(wanted, end - offset));
      const parsed = parseChunk(bytes, index, count);
      const place = offset;
      for (const frame of parsed.frames) {
        segment.mark(frame.index, place + frame.from - FRAME_BYTES, frame.acceptedAt);
      }
      const frames = index >= from ? parsed.frames : parsed.frames.filter((frame) => frame.index >= from);
      index += parsed.frames.length;
      offset += parsed.consumed;
      if (frames.length > 0) yield { bytes, frames };
      if (index >= count) continue;
      const isAll = offset + bytes.length - parsed.consumed >= end || bytes.length < Math.min(wanted, end - place);
      if (parsed.isBad || isAll) {
        const next = await behindDamage(handle, offset, end, index, count);
        await onDamage(index, next.index);
        ({ index, offset } = next);
        wanted = CHUNK_BYTES;
      } else {
        wanted = Math.max(CHUNK_BYTES, parsed.needed);
      }
    }
  } finally {
    await handle.close();
  }
}

interface ParsedChunk {
  readonly frames: Frame[];
  readonly consumed: number;
  /** What follows is no record of this segment. */
  readonly isBad: boolean;
  /** How many bytes the next record takes, where that is known. */
  readonly needed: number;
}

function parseChunk(bytes: Buffer, first: number, count: number): ParsedChunk {
  const frames: Frame[] = [];
  let at = 0;
  for (let index = first; index < count; index++) {
    const frame = readFrame(bytes, at);
    if (frame === "short") {
      const needed = at + FRAME_BYTES <= bytes.length ? FRAME_BYTES + bytes.readUInt32LE(at + 4) : FRAME_BYTES;
      return { frames, consumed: at, isBad: false, needed };
    }
    if (frame === "bad" || frame.index !== index) return { frames, consumed: at, isBad: true, needed: 0 };
    frames.push(frame);
    at = frame.to;
  }
  return { frames, consumed: at, isBad: false, needed: 0 };
}

/** The next whole record behind a damaged place, or the end of the segment. */
async function behindDamage(
  handle: FileHandle,
  offset: number,
  end: number,
  index: number,
  count: number,
): Promise<{ readonly index: number; readonly offset: number }> {
  const rest = await readAt(handle, offset, end - offset);
  const found = findFrame(rest, 1, index + 1, count);
  return found === undefined ? { index: count, offset: end } : { index: found.frame.index, offset: offset + found.at };
}

/** So many bytes, or as many as there are. */
async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(Math.max(0, length));
  let done = 0;
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/** What a segment that may be torn at its end holds. */
export interface ScannedTail {
  /** Records up to the last whole one. */
  readonly count: number;
  /** Where the last whole record ends. */
  readonly bytes: number;
  /** Size of the file. */
  readonly size: number;
}

/**
 * How far a segment's records go. Behind the last whole one may lie a torn one; damage before it does not count as an
 * end, because what lies behind may have been accepted.
 */
export async function scanTail(path: string): Promise<ScannedTail> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    let [count, offset] = [0, HEADER_BYTES];
    let wanted = CHUNK_BYTES;
    while (offset < size) {
      const bytes = await readAt(handle, offset, Math.min(wanted, size - offset));
      const parsed = parseChunk(bytes, count, Number.MAX_SAFE_INTEGER);
      count += parsed.frames.length;
      offset += parsed.consumed;
      wanted = Math.max(CHUNK_BYTES, parsed.needed);
      const isRest = offset + bytes.length - parsed.consumed >= size;
      if (!parsed.isBad && !(isRest && parsed.consumed < bytes.length)) continue;
      const next = await behindDamage(handle, offset, size, count, count + (size - offset) / FRAME_BYTES);
      if (next.offset >= size) break;
      ({ index: count, offset } = next);
      wanted = CHUNK_BYTES;
    }
    return { count, bytes: offset, size };
  } finally {
    await handle.close();
  }
}
