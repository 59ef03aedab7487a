import { expect, it } from "vitest";
import { bars } from "../bars.ts";
import { fundamentals } from "../fundamentals.ts";
import { news } from "../news.ts";
import { options } from "../options.ts";
import { signals } from "../signals.ts";
import { createColumnPage } from "./codec.ts";
import { decodeColumns, hasColumnForm, lastOfColumns, NULL_BITS } from "./column-form.ts";
import { COPY_HEADER, COPY_TRAILER } from "./encode-rows.ts";

/** A row of columns: the series and fields in hex. */
function row(seriesId: number, ...fields: string[]): Buffer {
  const head = Buffer.alloc(10);
  head.writeInt16BE(1 + fields.length, 0);
  head.writeInt32BE(4, 2);
  head.writeInt32BE(seriesId, 6);
  const parts = fields.flatMap((hex) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(hex.length / 2);
    return [length, Buffer.from(hex, "hex")];
  });
  return Buffer.concat([head, ...parts]);
}

const float8 = (value: number): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes.toString("hex");
};
const int8 = (value: bigint): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes.toString("hex");
};
/** Microseconds since 2000, as PostgreSQL counts. */
const time = (ms: number): string => int8(BigInt(ms - Date.UTC(2000, 0, 1)) * 1_000n);

const EARLY = Date.UTC(1900, 0, 1);
const LATE = Date.UTC(2199, 11, 31, 23, 59, 59, 999);
const TWO_SERIES = Buffer.concat([
  COPY_HEADER,
  row(
    7,
    time(EARLY) + time(0) + time(LATE),
    ...[1, 2, 3, 4, 5].map((first) => float8(first) + float8(-0.1) + float8(1e300)),
    int8(0n) + NULL_BITS.int8 + int8(2n ** 63n - 1n),
    NULL_BITS.float8 + float8(0) + float8(1.5),
  ),
  row(9, time(1), ...[1, 2, 3, 4, 5].map(float8), int8(3n), NULL_BITS.float8),
  COPY_TRAILER,
]);

it("appends the rows of every series", () => {
  const page = createColumnPage(bars, 6);
  page.length = 1;
  decodeColumns(TWO_SERIES, page);
  expect(page.length).toBe(5);
  expect([...page.seriesIds]).toEqual([0, 7, 7, 7, 9, 0]);
  expect([...page.times].slice(1, 5)).toEqual([EARLY, 0, LATE, 1].map((ms) => BigInt(ms) * 1_000n));
  expect([...page.columns[0]!.values].slice(1, 5)).toEqual([1, -0.1, 1e300, 1]);
  expect([...page.columns[5]!.values]).toEqual([0n, 0n, 0n, 2n ** 63n - 1n, 3n, 0n]);
  expect([...page.columns[5]!.nulls]).toEqual([0, 0, 1, 0, 0, 0]);
  expect([...page.columns[6]!.values].slice(1, 5)).toEqual([Number.NaN, 0, 1.5, Number.NaN]);
  expect([...page.columns[6]!.nulls]).toEqual([0, 1, 0, 0, 1, 0]);
});

it("finds the last row", () => {
  expect(lastOfColumns(TWO_SERIES)).toEqual({ rows: 4, seriesId: 9, timeUs: 1_000, contentKey: undefined });
  expect(lastOfColumns(Buffer.concat([COPY_HEADER, COPY_TRAILER]))).toBeUndefined();
});

it("forgets the nulls of the page before", () => {
  const page = createColumnPage(bars, 4);
  for (const { nulls } of page.columns) nulls.fill(1);
  decodeColumns(
    Buffer.concat([COPY_HEADER, row(1, time(0), ...[1, 2, 3, 4, 5].map(float8), int8(3n), float8(2)), COPY_TRAILER]),
    page,
  );
  expect([page.columns[5]!.nulls[0], page.columns[6]!.nulls[0]]).toEqual([0, 0]);
});

it("refuses what does not fit", () => {
  expect(() => decodeColumns(TWO_SERIES, createColumnPage(bars, 3))).toThrow("4 rows came for a page of 3.");
  const torn = Buffer.concat([COPY_HEADER, row(1, time(0), "00"), COPY_TRAILER]);
  expect(() => decodeColumns(torn, createColumnPage(bars, 3))).toThrow("1 bytes came where 1 values were expected");
});

it("is for datasets of numbers", () => {
  expect([bars, options].every(hasColumnForm)).toBe(true);
  expect([fundamentals, news, signals].some(hasColumnForm)).toBe(false);
});
