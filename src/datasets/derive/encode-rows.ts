/**
 * Rows of a batch in PostgreSQL's binary COPY format, in pieces that a socket takes well. Only for types whose binary
 * form is that of the buffers: decimals are none of them. Nothing is checked here; the batch did that.
 */
import type { DatasetShape } from "../dataset.ts";
import { POSTGRES_EPOCH_US, writeInt8 } from "./codec.ts";
import type { RowGroup } from "./fold-batch.ts";
import type { RowBatch, ValueBuffer } from "./row-batch.ts";

/** How the binary form begins, without flags and extension, and how it ends. */
export const COPY_HEADER = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
export const COPY_TRAILER = Buffer.from([0xff, 0xff]);
/** Each becomes one message; the server takes up one while the next is on its way. */
const PIECE_BYTES = 131_072;
/** Field count, series, time. */
const KEY_BYTES = 2 + 8 + 12;
const CONTENT_KEY_BYTES = 16;
/** The one version of jsonb's binary form. */
const JSONB_VERSION = 1;
/** As many values as any dataset has. */
const ROOM_AFTER_TEXT = 32 * 12;

/** Whether `encodeCopyRows` can write its rows. */
export function hasBinaryRows({ values }: DatasetShape): boolean {
  return values.every(({ type }) => type !== "numeric");
}

/** The columns of `encodeCopyRows`: the key, and those of the values that these rows bring. */
export function copyColumns({ time, values, contentKey }: DatasetShape, present: number): string[] {
  const brought = values.filter((_, slot) => (present & (1 << slot)) !== 0).map(({ name }) => name);
  return ["series_id", time.name, ...(contentKey ? [contentKey.name] : []), ...brought];
}

/**
 * The rows piece by piece, each encoded when it is asked for: a whole batch at once would keep the pieces before it from
 * being sent.
 *
 * @param ids - The series id of each of the batch's series.
 */
export function* encodeCopyRows(batch: RowBatch, ids: Int32Array, { present, rows }: RowGroup): Generator<Buffer> {
  const columns = batch.columns.filter((_, slot) => (present & (1 << slot)) !== 0);
  const hasContentKey = batch.contentKeys.length > 0;
  const fields = 2 + (hasContentKey ? 1 : 0) + columns.length;
  const fixedBytes = KEY_BYTES + (hasContentKey ? 4 + CONTENT_KEY_BYTES : 0) + columns.length * 12;
  const writer = new PieceWriter();
  yield COPY_HEADER;
  for (const row of rows) {
    writer.makeRoom(fixedBytes);
    writer.writeKey(fields, ids[batch.seriesAt[row]!]!, batch.times[row]! - POSTGRES_EPOCH_US);
    if (hasContentKey) writer.writeHex(batch.contentKeys[row]!);
    for (const column of columns) writer.writeValue(column, row);
    if (writer.hasPieces) yield* writer.takePieces();
  }
  yield* writer.end();
  yield COPY_TRAILER;
}

class PieceWriter {
  #pieces: Buffer[] = [];
  #piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  #view = new DataView(this.#piece.buffer);
  #at = 0;

  /** A row, or a text, of so many bytes goes into one piece. */
  makeRoom(bytes: number): void {
    if (this.#at + bytes <= this.#piece.length) return;
    this.#pieces.push(this.#piece.subarray(0, this.#at));
    this.#piece = Buffer.allocUnsafeSlow(Math.max(PIECE_BYTES, bytes));
    this.#view = new DataView(this.#piece.buffer);
    this.#at = 0;
  }

  writeKey(fields: number, seriesId: number, timeUs: number): void {
    const [view, at] = [this.#view, this.#at];
    view.setInt16(at, fields);
    view.setInt32(at + 2, 4);
    view.setInt32(at + 6, seriesId);
    view.setInt32(at + 10, 8);
    writeInt8(this.#piece, timeUs, at + 14);
    this.#at = at + KEY_BYTES;
  }

  writeHex(text: string): void {
    this.#view.setInt32(this.#at, CONTENT_KEY_BYTES);
    this.#at += 4 + this.#piece.write(text, this.#at + 4, "hex");
  }

  writeValue({ column, values, nulls }: ValueBuffer, row: number): void {
    if (nulls[row] === 1) {
      this.#view.setInt32(this.#at, -1);
      this.#at += 4;
    } else if (Array.isArray(values)) this.#writeText(values[row]!, column.type === "json");
    else {
      this.#view.setInt32(this.#at, 8);
      if (values instanceof BigInt64Array) this.#view.setBigInt64(this.#at + 4, values[row]!);
      else this.#view.setFloat64(this.#at + 4, values[row]!);
      this.#at += 12;
    }
  }

  /** The room for a row counts 12 bytes for each value; those after a text need theirs again. */
  #writeText(text: string, isJson: boolean): void {
    const prefix = isJson ? 1 : 0;
    const bytes = Buffer.byteLength(text) + prefix;
    this.makeRoom(4 + bytes + ROOM_AFTER_TEXT);
    this.#view.setInt32(this.#at, bytes);
    if (isJson) this.#view.setUint8(this.#at + 4, JSONB_VERSION);
    this.#piece.write(text, this.#at + 4 + prefix);
    this.#at += 4 + bytes;
  }

  /** Whether pieces are full. */
  get hasPieces(): boolean {
    return this.#pieces.length > 0;
  }

  takePieces(): Buffer[] {
    const taken = this.#pieces;
    this.#pieces = [];
    return taken;
  }

  end(): Buffer[] {
    return [...this.#pieces, this.#piece.subarray(0, this.#at)];
  }
}
