/** The forms in which rows are written to files: CSV or NDJSON, plain or compressed, named by a file's extension. */

import type { Duplex } from "node:stream";
import { constants, createGzip, createZstdCompress } from "node:zlib";
import type { DatasetShape } from "../datasets/dataset.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { StoreError } from "../errors/store-error.ts";
import { csvWriter } from "./csv-writer.ts";
import type { LineWriter } from "./line-writer.ts";
import { ndjsonWriter } from "./ndjson-writer.ts";
import type { Compression } from "./source-encoding.ts";

export const TEXT_FORMATS = ["csv", "ndjson"] as const;
export type TextFormat = (typeof TEXT_FORMATS)[number];

export interface TextForm {
  readonly format: TextFormat;
  readonly compression: Compression;
}

const COMPRESSIONS: Readonly<Record<string, Compression>> = { "": "none", ".gz": "gzip", ".zst": "zstd" };
/** Measured on bars: three quarters of the processor time of gzip's own default, 6, for 9 % more bytes. */
const GZIP_LEVEL = 4;
/** So that rows are made while those before are compressed: a few pages. */
const INPUT_BYTES = 4_194_304;
const OUTPUT_BYTES = 65_536;

/**
 * The form that a file's name asks for.
 *
 * @throws StoreError `usage` for any other name.
 */
export function textFormOf(path: string): TextForm {
  const [, format, compression = ""] = /\.(csv|ndjson)(\.gz|\.zst)?$/.exec(path) ?? [];
  if (format !== undefined) return { format: format as TextFormat, compression: COMPRESSIONS[compression]! };
  throw new StoreError(
    "usage",
    `${showValue(path)} does not end in .csv or .ndjson, which may be followed by .gz or .zst; the name says what is written.`,
  );
}

export function writerOf(format: TextFormat, dataset: DatasetShape): LineWriter {
  return format === "csv" ? csvWriter(dataset) : ndjsonWriter(dataset);
}

/** A stream that compresses; undefined where nothing is to be compressed. */
export function compressor(compression: Compression): Duplex | undefined {
  const sizes = { chunkSize: OUTPUT_BYTES, writableHighWaterMark: INPUT_BYTES };
  switch (compression) {
    case "none":
      return undefined;
    case "gzip":
      return createGzip({ level: GZIP_LEVEL, ...sizes });
    case "zstd":
      // The checksum lets a reader notice damage, as it does with gzip.
      return createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 }, ...sizes });
  }
}
