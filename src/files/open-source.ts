/**
 * Opens a file or standard input as a stream of UTF-8 bytes: decompresses gzip and zstd, told by content, drops a byte
 * order mark, and refuses what is no text in UTF-8 with one sentence. All bytes before a cut or damaged place are
 * delivered first. Streams with backpressure and constant memory; knows nothing of lines or rows.
 */
import { createReadStream } from "node:fs";
import { addAbortSignal, type Readable } from "node:stream";
import { escapeUnsafe } from "../datasets/values/show-value.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import { replay, takeHead } from "./byte-head.ts";
import { decompress } from "./decompress.ts";
import {
  bomBytes,
  COMPRESSION_SAMPLE_BYTES,
  type Compression,
  compressionOf,
  foreignKindOf,
  TEXT_SAMPLE_BYTES,
} from "./source-encoding.ts";

/** Bytes read at a time: large enough that a chunk's overhead does not show, small enough to stay in the cache. */
const CHUNK_BYTES = 65_536;

export interface SourceOptions {
  readonly signal?: AbortSignal | undefined;
  /** What `-` reads; by default the standard input of the process. */
  readonly stdin?: Readable | undefined;
  /** Bytes that somebody else has opened; the path then only is what messages call them. Closed when the reading ends. */
  readonly input?: Readable | undefined;
}

/** How messages call a source. */
export function sourceName(path: string): string {
  return path === "-" ? "Standard input" : escapeUnsafe(path);
}

/**
 * The decompressed bytes of a file.
 *
 * @param path - A path, or `-` for standard input.
 * @throws StoreError `file_unreadable` (missing, a directory, not permitted, damaged), `file_encoding` (not UTF-8),
 *   `file_truncated` (compressed data that breaks off; after everything before was delivered), `aborted`.
 */
export async function* openSource(path: string, options: SourceOptions = {}): AsyncGenerator<Buffer> {
  const name = sourceName(path);
  const iterator = decompressed(path, options);
  try {
    const head = await takeHead(iterator, (bytes) => bytes.length >= TEXT_SAMPLE_BYTES);
    refuseForeign(head.bytes, name);
    const text = { ...head, bytes: head.bytes.subarray(bomBytes(head.bytes)) };
    yield* replay(text, iterator);
  } catch (error) {
    throw asStoreError(error, name, options.signal);
  } finally {
    await iterator.return(undefined);
  }
}

function openRaw(path: string, options: SourceOptions): Readable {
  const raw =
    options.input ??
    (path === "-" ? (options.stdin ?? process.stdin) : createReadStream(path, { highWaterMark: CHUNK_BYTES }));
  return options.signal === undefined ? raw : addAbortSignal(options.signal, raw);
}

async function* decompressed(path: string, options: SourceOptions): AsyncGenerator<Buffer> {
  const raw = openRaw(path, options);
  const iterator: AsyncIterator<Buffer> = raw[Symbol.asyncIterator]();
  try {
    const head = await takeHead(iterator, (bytes) => bytes.length >= COMPRESSION_SAMPLE_BYTES);
    const compression = compressionOf(head.bytes);
    const all = replay(head, iterator);
    if (compression === "none") yield* all;
    else yield* through(all, compression, sourceName(path));
  } finally {
    await iterator.return?.();
    // An iterator that was never asked for anything does not close its stream.
    raw.destroy();
  }
}

async function* through(
  compressed: AsyncGenerator<Buffer>,
  compression: Exclude<Compression, "none">,
  name: string,
): AsyncGenerator<Buffer> {
  try {
    yield* decompress(compressed, compression);
  } catch (error) {
    throw decompressionError(error, compression, name);
  }
}

function decompressionError(error: unknown, compression: string, name: string): unknown {
  const code = codeOf(error);
  if (code === "Z_BUF_ERROR") {
    return new StoreError(
      "file_truncated",
      `${name} breaks off in the middle of its ${compression} data; fetch it again (the lines before were read).`,
      { cause: error },
    );
  }
  if (!/^(Z_|ZSTD_)/.test(code)) return error;
  return new StoreError(
    "file_unreadable",
    `${name} has damaged ${compression} data (${messageOf(error)}); fetch it again (the lines before were read).`,
    { cause: error },
  );
}

function refuseForeign(head: Buffer, name: string): void {
  const foreign = foreignKindOf(head);
  if (foreign === undefined) return;
  const advice =
    foreign.iconv === undefined
      ? "CSV and NDJSON in UTF-8 are read, plain or compressed with gzip or zstd"
      : `convert it first (iconv -f ${foreign.iconv} -t UTF-8)`;
  throw new StoreError("file_encoding", `${name} is ${foreign.what} and not text in UTF-8; ${advice}.`);
}

function asStoreError(error: unknown, name: string, signal: AbortSignal | undefined): StoreError {
  if (error instanceof StoreError) return error;
  if (signal?.aborted === true) return new StoreError("aborted", `Reading ${name} was stopped.`, { cause: error });
  const reasons: Record<string, string> = {
    ENOENT: "does not exist",
    ENOTDIR: "does not exist",
    EISDIR: "is a directory; name the files in it",
    EACCES: "may not be read by this user",
    EPERM: "may not be read by this user",
  };
  const reason = reasons[codeOf(error)] ?? `could not be read: ${messageOf(error)}`;
  return new StoreError("file_unreadable", `${name} ${reason}.`, { cause: error });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
