import { describe, expect, it } from "vitest";
import { compressionOf, foreignKindOf } from "./source-encoding.ts";

const csv = "ts,symbol,open\n2024-01-02T00:00:00Z,AAPL,1.5\n";

describe("compressionOf", () => {
  it.each([
    ["gzip", [0x1f, 0x8b, 8, 0]],
    ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
    ["zstd", [0x50, 0x2a, 0x4d, 0x18]],
    ["none", [...Buffer.from("ts,s")]],
    ["none", [0x1f]],
    ["none", []],
  ])("tells %s from %o", (compression, bytes) => {
    expect(compressionOf(Buffer.from(bytes))).toBe(compression);
  });
});

describe("foreignKindOf", () => {
  const wide = (text: string, unit: 2 | 4, order: "le" | "be"): Buffer => {
    const bytes = Buffer.alloc(text.length * unit);
    for (let index = 0; index < text.length; index++) {
      bytes[index * unit + (order === "le" ? 0 : unit - 1)] = text.charCodeAt(index);
    }
    return bytes;
  };

  it.each([
    ["UTF-16LE", wide(csv, 2, "le")],
    ["UTF-16BE", wide(csv, 2, "be")],
    ["UTF-32LE", wide(csv, 4, "le")],
    ["UTF-32BE", wide(csv, 4, "be")],
    ["UTF-16LE", Buffer.from([0xff, 0xfe, 0x41, 0])],
    ["UTF-16BE", Buffer.from([0xfe, 0xff, 0, 0x41])],
    ["UTF-32LE", Buffer.from([0xff, 0xfe, 0, 0, 0x41, 0, 0, 0])],
    ["UTF-32BE", Buffer.from([0, 0, 0xfe, 0xff, 0, 0, 0, 0x41])],
  ])("knows %s, with a mark or by its NULs", (encoding, bytes) => {
    expect(foreignKindOf(bytes)?.iconv).toBe(encoding);
  });

  it.each([
    ["a ZIP archive", Buffer.concat([Buffer.from("PK\x03\x04"), Buffer.alloc(30)])],
    ["a Parquet file", Buffer.concat([Buffer.from("PAR1"), Buffer.from([0x15, 4, 0x15])])],
    ["an SQLite database", Buffer.from("SQLite format 3\0")],
    ["compressed twice", Buffer.from([0x1f, 0x8b, 8, 0, 0, 0])],
    ["compressed with bzip2", Buffer.concat([Buffer.from("BZh91AY&SY"), Buffer.from([1, 2, 0xff])])],
    ["binary", Buffer.from(Array.from({ length: 4_096 }, (_, index) => (index * 167) % 256))],
    ["binary", Buffer.alloc(4_096)],
  ])("knows %s", (what, bytes) => {
    expect(foreignKindOf(bytes)?.what).toContain(what);
  });

  it.each([
    ["plain text", Buffer.from(csv)],
    ["nothing", Buffer.alloc(0)],
    ["a text that begins like a known kind", Buffer.from("PAR1,ORC,BZh\n")],
    ["one NUL", Buffer.from("a\0b\n")],
    ["a NUL in every line of a text", Buffer.from(`${csv}x,\0,y`.repeat(20))],
    ["Latin-1", Buffer.from("symbol,name\nA,Münchener Rück\n".repeat(50), "latin1")],
    ["UTF-8 cut in a character", Buffer.from("é".repeat(10)).subarray(0, 19)],
    ["Chinese", Buffer.from("贵州茅台,".repeat(500))],
  ])("leaves %s to the line reader", (_name, bytes) => {
    expect(foreignKindOf(bytes)).toBeUndefined();
  });
});
