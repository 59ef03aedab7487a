/**
 * Reads rows of a dataset from the body of a request: NDJSON or a JSON array, plain or compressed, told by content. Its
 * records are numbered from 1, by line or by element. Reads no further than the caller takes.
 */
import type { DatasetShape } from "../datasets/dataset.ts";
import { StoreError } from "../errors/store-error.ts";
import { replay, takeHead } from "./byte-head.ts";
import { columnNames } from "./column-names.ts";
import { decompress } from "./decompress.ts";
import { readArrayElements } from "./json-array-lines.ts";
import { readLines } from "./line-reader.ts";
import { readNdjson } from "./ndjson-reader.ts";
import type { RecordBatch } from "./record-batch.ts";
import { bomBytes, COMPRESSION_SAMPLE_BYTES, compressionOf } from "./source-encoding.ts";

/** Blanks before the first character that tells the form; without a bound they would all be held in memory. */
const MAX_BLANK_BYTES = 65_536;
/** A small compressed body can hold a great deal; what is longer than this is cut off with a fault, not read for hours. */
const MAX_TEXT_BYTES = 1_073_741_824;

/**
 * The records of a body; none of an empty one.
 *
 * @throws StoreError `body_invalid` (no JSON, or breaks off), `body_too_large`; a failure of the source. Each comes
 *   after all whole records before it.
 */
export async function* readBody(body: AsyncIterable<Buffer>, dataset: DatasetShape): AsyncGenerator<RecordBatch> {
  const text = bounded(decompressed(body));
  try {
    const head = await takeHead(text, (bytes) => bytes.length > MAX_BLANK_BYTES || firstVisible(bytes) !== undefined);
    const bytes = head.bytes.subarray(bomBytes(head.bytes));
    const whole = replay({ ...head, bytes }, text);
    const first = firstVisible(bytes);
    if (first !== undefined && first !== "{" && first !== "[") {
      throw new StoreError(
        "body_invalid",
        "The body is neither NDJSON (one object a line) nor a JSON array of objects.",
      );
    }
    const lines = first === "[" ? readArrayElements(whole) : readLines(whole);
    yield* readNdjson(lines, columnNames(dataset, {}));
  } finally {
    await text.return(undefined);
  }
}

async function* decompressed(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const iterator = body[Symbol.asyncIterator]();
  try {
    const head = await takeHead(iterator, (bytes) => bytes.length >= COMPRESSION_SAMPLE_BYTES);
    const compression = compressionOf(head.bytes);
    const whole = replay(head, iterator);
    if (compression === "none") yield* whole;
    else yield* decompress(whole, compression);
  } catch (error) {
    const code = String((error as { code?: unknown }).code);
    if (!/^(Z_|ZSTD_)/.test(code)) throw error;
    const what = code === "Z_BUF_ERROR" ? "breaks off" : "is damaged";
    throw new StoreError("body_invalid", `The body's compressed data ${what}.`, { cause: error });
  } finally {
    await iterator.return?.();
  }
}

async function* bounded(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > MAX_TEXT_BYTES) {
      throw new StoreError(
        "body_too_large",
        `The body is longer than ${MAX_TEXT_BYTES} bytes when decompressed; send it in parts.`,
      );
    }
    yield chunk;
  }
}

function firstVisible(bytes: Buffer): string | undefined {
  const byte = bytes.subarray(bomBytes(bytes)).find((each) => each > 0x20);
  return byte === undefined ? undefined : String.fromCharCode(byte);
}
