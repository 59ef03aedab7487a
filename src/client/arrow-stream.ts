/**
 * Pages of rows as an Arrow IPC stream: the schema and the dictionaries of the dimensions first, since all series are
 * known by then, a record batch for each page, and the mark of the end. The buffers are those of the page; only nulls,
 * dimensions and texts take a form of their own.
 */
import type { Batch, Column, DataType, Table } from "@uwdata/flechette";
import type { DatasetShape } from "../datasets/dataset.ts";
import type { ColumnPage } from "../datasets/derive/codec.ts";
import type { ValueBuffer } from "../datasets/derive/row-batch.ts";

type Arrow = typeof import("@uwdata/flechette");
/** Kinds of messages, as Arrow's Message.fbs numbers them. */
const RECORD_BATCH = 3;
/** What ends a stream: a message without metadata. */
const END = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);
const NO_BITS = new Uint8Array(0);

/** A series of the window, by the id that its rows have. */
interface StreamedSeries {
  readonly id: number;
  readonly dimensions: Readonly<Record<string, string>>;
}

/** One dimension: its values, once each, and which of them each series has. */
interface Dictionary {
  readonly type: DataType;
  /** That of its values; the library tells dictionaries apart by this object. */
  readonly textType: DataType;
  readonly values: readonly string[];
  readonly keyOf: ReadonlyMap<number, number>;
}

export class ArrowStream {
  readonly #arrow: Arrow;
  readonly #dataset: DatasetShape;
  readonly #dictionaries: readonly Dictionary[];

  constructor(arrow: Arrow, dataset: DatasetShape, series: readonly StreamedSeries[]) {
    this.#arrow = arrow;
    this.#dataset = dataset;
    this.#dictionaries = dataset.dimensions.map(({ name }) => dictionaryOf(arrow, series, name));
  }

  /** Loads the library, which nothing else needs. */
  static async open(dataset: DatasetShape, series: readonly StreamedSeries[]): Promise<ArrowStream> {
    return new ArrowStream(await import("@uwdata/flechette"), dataset, series);
  }

  /** The schema and the dictionaries. */
  head(empty: ColumnPage): Uint8Array {
    return joined(messagesOf(this.#encode(empty, true)).filter(({ kind }) => kind !== RECORD_BATCH));
  }

  /** The rows of a page, which may be used again afterwards. */
  batch(page: ColumnPage): Uint8Array {
    return joined(messagesOf(this.#encode(page, false)).filter(({ kind }) => kind === RECORD_BATCH));
  }

  end(): Uint8Array {
    return END;
  }

  /** A whole stream of one batch. Keys are the same whether the dictionaries are in it or empty. */
  #encode(page: ColumnPage, withDictionaries: boolean): Uint8Array {
    const { Table: ArrowTable, Version, Endianness, Column: ArrowColumn, field, tableToIPC } = this.#arrow;
    const { dimensions, time } = this.#dataset;
    const parts = [
      ...dimensions.map(({ name }, at) => ({
        name,
        nullable: false,
        batch: this.#keys(page, this.#dictionaries[at]!, withDictionaries),
      })),
      { name: time.name, nullable: false, batch: this.#times(page) },
      ...page.columns.map((buffer) => ({
        name: buffer.column.name,
        nullable: !buffer.column.required,
        batch: this.#values(buffer, page.length),
      })),
    ];
    const fields = parts.map(({ name, nullable, batch }) => field(name, batch.type, nullable));
    const schema = { version: Version.V5, endianness: Endianness.Little, fields, metadata: null };
    const columns = parts.map(({ batch }) => new ArrowColumn([batch]));
    const table: Table = new ArrowTable(schema, columns as Column<unknown>[]);
    return tableToIPC(table, { format: "stream" })!;
  }

  #keys(page: ColumnPage, { type, textType, values, keyOf }: Dictionary, withValues: boolean): Batch<unknown> {
    const { Column: ArrowColumn } = this.#arrow;
    const keys = new Int32Array(page.length);
    for (let from = 0, to = 0; from < page.length; from = to) {
      const id = page.seriesIds[from]!;
      do to++;
      while (to < page.length && page.seriesIds[to] === id);
      keys.fill(keyOf.get(id)!, from, to);
    }
    const dictionary = new ArrowColumn([this.#texts(textType, withValues ? values : [], NO_BITS, 0)]);
    return Object.assign(this.#plain(type, keys, NO_BITS, 0), { dictionary });
  }

  #times({ times, length }: ColumnPage): Batch<unknown> {
    const { timestamp, TimeUnit } = this.#arrow;
    return this.#plain(timestamp(TimeUnit.MICROSECOND, "UTC"), times.subarray(0, length), NO_BITS, 0);
  }

  #values({ values, nulls }: ValueBuffer, length: number): Batch<unknown> {
    const [validity, nullCount] = validityOf(nulls, length);
    if (Array.isArray(values)) return this.#texts(this.#arrow.utf8(), values.slice(0, length), validity, nullCount);
    const type = values instanceof Float64Array ? this.#arrow.float64() : this.#arrow.int64();
    return this.#plain(type, values.subarray(0, length), validity, nullCount);
  }

  #plain(
    type: DataType,
    values: Int32Array | Float64Array | BigInt64Array,
    validity: Uint8Array,
    nullCount: number,
  ): Batch<unknown> {
    return new this.#arrow.Batch({ length: values.length, nullCount, type, validity, values });
  }

  #texts(type: DataType, texts: readonly string[], validity: Uint8Array, nullCount: number): Batch<unknown> {
    const offsets = new Int32Array(texts.length + 1);
    const values = Buffer.from(texts.join(""), "utf8");
    for (const [at, text] of texts.entries()) offsets[at + 1] = offsets[at]! + Buffer.byteLength(text);
    return new this.#arrow.Batch({ length: texts.length, nullCount, type, validity, offsets, values });
  }
}

function dictionaryOf({ dictionary, utf8, int32 }: Arrow, series: readonly StreamedSeries[], name: string): Dictionary {
  const keys = new Map<string, number>();
  const keyOf = new Map<number, number>();
  for (const { id, dimensions } of series) {
    const value = dimensions[name]!;
    if (!keys.has(value)) keys.set(value, keys.size);
    keyOf.set(id, keys.get(value)!);
  }
  const textType = utf8();
  return { type: dictionary(textType, int32()), textType, values: [...keys.keys()], keyOf };
}

/** One bit a row, 1 where there is a value; none at all where every row has one. */
function validityOf(nulls: Uint8Array, length: number): [bits: Uint8Array, nullCount: number] {
  let nullCount = 0;
  for (let at = 0; at < length; at++) nullCount += nulls[at]!;
  if (nullCount === 0) return [NO_BITS, 0];
  const bits = new Uint8Array((length + 7) >> 3);
  for (let at = 0; at < length; at++) bits[at >> 3]! |= (1 - nulls[at]!) << (at & 7);
  return [bits, nullCount];
}

interface Message {
  readonly kind: number;
  readonly bytes: Uint8Array;
}

/** The messages of a stream, each with its body, without the end: "Encapsulated message format" of Arrow's columnar format. */
function messagesOf(stream: Uint8Array): Message[] {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const messages: Message[] = [];
  for (let at = 0; at + 8 <= stream.length; ) {
    const metadataBytes = view.getInt32(at + 4, true);
    if (metadataBytes === 0) break;
    const table = at + 8 + view.getInt32(at + 8, true);
    const bodyAt = fieldOf(view, table, 3);
    const bodyBytes = bodyAt === undefined ? 0 : Number(view.getBigInt64(bodyAt, true));
    const bytes = stream.subarray(at, at + 8 + metadataBytes + bodyBytes);
    messages.push({ kind: view.getUint8(fieldOf(view, table, 1)!), bytes });
    at += bytes.length;
  }
  return messages;
}

/** Where a field of a flatbuffer's table is; undefined where it has its default. */
function fieldOf(view: DataView, table: number, field: number): number | undefined {
  const entries = table - view.getInt32(table, true);
  const entry = 4 + 2 * field;
  const offset = entry < view.getUint16(entries, true) ? view.getUint16(entries + entry, true) : 0;
  return offset === 0 ? undefined : table + offset;
}

function joined(messages: readonly Message[]): Uint8Array {
  return messages.length === 1 ? messages[0]!.bytes : Buffer.concat(messages.map(({ bytes }) => bytes));
}
