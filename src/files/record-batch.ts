/** What both readers give: records as they stand in the file, under the dataset's column names, in bounded batches. */
import type { Rejection } from "../datasets/dataset.ts";

/**
 * A record's raw values by canonical column name: text from CSV (null for an empty cell, the empty text for a quoted
 * empty one), JSON values from NDJSON. A column that the file does not have is absent.
 */
export type RawRow = Record<string, unknown>;

/** A record that could not be read. */
interface RejectedRecord {
  /** Number of its (first) line; a file's first is 1. */
  readonly line: number;
  readonly rejection: Rejection;
  /** The record as it stands in the file, as far as it can be shown, or its fields. */
  readonly raw: string | RawRow;
}

/** Some consecutive records of a file: about as many as fit one block of 64 KiB, never more than a few megabytes. */
export interface RecordBatch {
  readonly rows: RawRow[];
  /** Number of the (first) line of each row; as long as `rows`. */
  readonly lines: number[];
  readonly rejects: RejectedRecord[];
}

/** A batch to be filled. */
export function emptyBatch(): RecordBatch {
  return { rows: [], lines: [], rejects: [] };
}
