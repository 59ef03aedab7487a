/**
 * How a record lies in a segment: CRC-32C of all that follows (4 bytes), length (4), place in the segment (4), time of
 * acceptance (8), then the record; numbers are little-endian. The place tells a record from one of an older life of the
 * same bytes, and lets a reader find its way again behind damage.
 */
import { crc32c } from "./crc32c.ts";

/** Bytes in front of each record. */
export const FRAME_BYTES = 20;
/** Of one record. A row's largest value is a JSON text of a million characters, which take up to four bytes each. */
export const MAX_RECORD_BYTES = 16_777_216;

/** A whole, undamaged record: its bytes lie from `from` to before `to`. */
export interface Frame {
  readonly index: number;
  readonly acceptedAt: number;
  readonly from: number;
  readonly to: number;
}

/** Writes a record with its frame; where the next one begins. */
export function writeFrame(target: Buffer, at: number, index: number, acceptedAt: number, record: Uint8Array): number {
  const end = at + FRAME_BYTES + record.length;
  target.writeUInt32LE(record.length, at + 4);
  target.writeUInt32LE(index, at + 8);
  target.writeDoubleLE(acceptedAt, at + 12);
  target.set(record, at + FRAME_BYTES);
  target.writeUInt32LE(crc32c(target, at + 4, end), at);
  return end;
}

/**
 * The record that begins at `at`. `short`: it goes on behind the given bytes, or what is there says so. `bad`: there is
 * no record.
 */
export function readFrame(bytes: Buffer, at: number): Frame | "short" | "bad" {
  const from = at + FRAME_BYTES;
  if (from > bytes.length) return "short";
  const length = bytes.readUInt32LE(at + 4);
  if (length > MAX_RECORD_BYTES) return "bad";
  const to = from + length;
  if (to > bytes.length) return "short";
  if (crc32c(bytes, at + 4, to) !== bytes.readUInt32LE(at)) return "bad";
  return { index: bytes.readUInt32LE(at + 8), acceptedAt: bytes.readDoubleLE(at + 12), from, to };
}

/** Where the next record lies whose place is from `least` to before `limit`, wherever it begins behind `at`. */
export function findFrame(
  bytes: Buffer,
  at: number,
  least: number,
  limit: number,
): { readonly at: number; readonly frame: Frame } | undefined {
  for (let begin = at; begin + FRAME_BYTES <= bytes.length; begin++) {
    // The place of a record is a number that few other bytes happen to form, so hardly a checksum is made in vain.
    const index = bytes.readUInt32LE(begin + 8);
    if (index < least || index >= limit) continue;
    const frame = readFrame(bytes, begin);
    if (typeof frame === "object") return { at: begin, frame };
  }
  return undefined;
}
