/**
 * Tells from a file's first bytes, never from its name, how it is compressed and whether it is text in UTF-8. What is
 * not gets a name that a person recognises. One stray NUL or a few bytes of Latin-1 do not condemn a file: such lines
 * are rejected one by one later.
 */
import { isUtf8 } from "node:buffer";

/** Bytes that show how a stream is compressed. */
export const COMPRESSION_SAMPLE_BYTES = 4;
/** Bytes that show whether a stream is text; a page is enough for a share of odd bytes to mean something. */
export const TEXT_SAMPLE_BYTES = 4_096;

/** Bytes with which text never comes in numbers; below this count a file is left to the line reader. */
const FEW_BYTES = 8;
/** Share of control characters above which bytes are no text: random bytes have 11 %. */
const MAX_CONTROL_SHARE = 0.05;
/** Share of NULs at one place of a code unit above which text is UTF-16 or UTF-32: ASCII in it has nearly all. */
const WIDE_SHARE = 0.4;

export type Compression = "none" | "gzip" | "zstd";

/** How a stream is compressed, told from its first bytes. */
export function compressionOf(head: Buffer): Compression {
  if (startsWith(head, [0x1f, 0x8b])) return "gzip";
  if (startsWith(head, [0x28, 0xb5, 0x2f, 0xfd])) return "zstd";
  // A skippable frame, with which some parallel compressors begin.
  if (startsWith(head.subarray(1), [0x2a, 0x4d, 0x18]) && (head[0]! & 0xf0) === 0x50) return "zstd";
  return "none";
}

/** How many bytes of a UTF-8 byte order mark a stream begins with: 3 or 0. */
export function bomBytes(head: Buffer): number {
  return startsWith(head, [0xef, 0xbb, 0xbf]) ? 3 : 0;
}

/** What a stream seems to be if it is not text in UTF-8. `iconv` is the name of a text encoding, absent for others. */
export interface Foreign {
  readonly what: string;
  readonly iconv?: string;
}

const ascii = (text: string): number[] => [...Buffer.from(text, "latin1")];

/** First bytes of the kinds of file that people mistake for data files. */
const KNOWN_KINDS: readonly (readonly [readonly number[], string])[] = [
  [ascii("PK\x03\x04"), "a ZIP archive (Excel files are ones too)"],
  [ascii("PAR1"), "a Parquet file"],
  [ascii("ARROW1"), "an Arrow file"],
  [ascii("Obj\x01"), "an Avro file"],
  [ascii("ORC"), "an ORC file"],
  [ascii("SQLite format 3\0"), "an SQLite database"],
  [ascii("%PDF"), "a PDF file"],
  [ascii("PGDMP"), "a dump of pg_dump"],
  [[0x89, 0x48, 0x44, 0x46], "an HDF5 file"],
  [[0xd0, 0xcf, 0x11, 0xe0], "an old Excel or Office file"],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], "compressed with xz"],
  [ascii("BZh"), "compressed with bzip2"],
  [[0x04, 0x22, 0x4d, 0x18], "compressed with lz4"],
  [[0x1f, 0x8b], "compressed twice"],
  [[0x28, 0xb5, 0x2f, 0xfd], "compressed twice"],
];

/**
 * What bytes seem to be, unless they are text in UTF-8 or near enough to be read line by line.
 *
 * @param head - The first bytes after decompression, up to {@link TEXT_SAMPLE_BYTES}.
 */
export function foreignKindOf(head: Buffer): Foreign | undefined {
  const sample = head.subarray(0, TEXT_SAMPLE_BYTES);
  const wide = wideEncodingOf(sample);
  if (wide !== undefined) return wide;
  const controls = countControls(sample);
  // The short marks among these (ORC, BZh) may begin a text, but text has no control characters after them.
  const known = KNOWN_KINDS.find(([bytes]) => startsWith(sample, bytes));
  if (known !== undefined && (controls > 0 || !isUtf8(sample))) return { what: known[1] };
  if (controls > FEW_BYTES && controls > sample.length * MAX_CONTROL_SHARE) return { what: "binary" };
  return undefined;
}

function wideEncodingOf(sample: Buffer): Foreign | undefined {
  if (startsWith(sample, [0xff, 0xfe, 0, 0])) return { what: "UTF-32 (little-endian)", iconv: "UTF-32LE" };
  if (startsWith(sample, [0, 0, 0xfe, 0xff])) return { what: "UTF-32 (big-endian)", iconv: "UTF-32BE" };
  if (startsWith(sample, [0xff, 0xfe])) return { what: "UTF-16 (little-endian)", iconv: "UTF-16LE" };
  if (startsWith(sample, [0xfe, 0xff])) return { what: "UTF-16 (big-endian)", iconv: "UTF-16BE" };
  const nulsAt = [0, 0, 0, 0];
  for (const [index, byte] of sample.entries()) if (byte === 0) nulsAt[index % 4]!++;
  const isNul = nulsAt.map((count) => count > FEW_BYTES / 4 && count > (sample.length / 4) * WIDE_SHARE);
  const pattern = isNul.map((nul) => (nul ? "0" : "x")).join("");
  const kinds: Record<string, Foreign> = {
    x000: { what: "UTF-32 (little-endian) without a mark", iconv: "UTF-32LE" },
    "000x": { what: "UTF-32 (big-endian) without a mark", iconv: "UTF-32BE" },
    x0x0: { what: "UTF-16 (little-endian) without a mark", iconv: "UTF-16LE" },
    "0x0x": { what: "UTF-16 (big-endian) without a mark", iconv: "UTF-16BE" },
  };
  return kinds[pattern];
}

/** Control characters other than tab, line feed, form feed and carriage return. */
function countControls(sample: Buffer): number {
  let count = 0;
  for (const byte of sample) if (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 12 && byte !== 13) count++;
  return count;
}

function startsWith(bytes: Buffer, mark: readonly number[]): boolean {
  return mark.every((byte, index) => bytes[index] === byte);
}
