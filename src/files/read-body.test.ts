import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { signals } from "../datasets/signals.ts";
import { readBody } from "./read-body.ts";
import type { RawRow } from "./record-batch.ts";

interface Read {
  readonly rows: RawRow[];
  readonly lines: number[];
  readonly rejects: { line: number; code: string }[];
  error?: unknown;
}

async function read(body: Buffer | string, chunkBytes = 7): Promise<Read> {
  const bytes = Buffer.from(body);
  const result: Read = { rows: [], lines: [], rejects: [] };
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
  }
  try {
    for await (const batch of readBody(chunks(), signals)) {
      result.rows.push(...batch.rows);
      result.lines.push(...batch.lines);
      result.rejects.push(...batch.rejects.map(({ line, rejection }) => ({ line, code: rejection.code })));
    }
  } catch (error) {
    result.error = error;
  }
  return result;
}

const row = (symbol: string) => ({ vendor: "v", symbol, name: "n", ts: "2024-01-02T00:00:00Z", value: 1 });

describe("readBody", () => {
  const rows = ["A", "B", "C"].map(row);
  const ndjson = rows.map((one) => JSON.stringify(one)).join("\n");

  it.each([
    ["NDJSON", ndjson],
    ["NDJSON with a byte order mark", `\ufeff${ndjson}\n`],
    ["an array", JSON.stringify(rows)],
    ["an array over several lines", `\ufeff \n${JSON.stringify(rows, null, 2)}\n`],
    ["gzip", gzipSync(ndjson)],
    ["an array in gzip", gzipSync(JSON.stringify(rows))],
    ["zstd", zstdCompressSync(ndjson)],
  ])("reads %s", async (_form, body) => {
    expect(await read(body)).toEqual({ rows, lines: [1, 2, 3], rejects: [] });
  });

  it.each(["", "  \n", "[]", "[ ]\n"])("finds nothing in %j", async (body) => {
    expect(await read(body)).toEqual({ rows: [], lines: [], rejects: [] });
  });

  it("splits an array of any values as JSON.parse does, wherever the chunks end", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { maxLength: 8 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 3 }),
        async (values, chunkBytes, indent) => {
          const { rows: read_, rejects, error } = await read(JSON.stringify(values, null, indent), chunkBytes);
          expect(error).toBeUndefined();
          // Empty objects are rows; others have fields that signals do not know.
          const unknown = values.filter((value) =>
            Object.keys(value).some((key) => !/^(vendor|provider|symbol|name|ts|value|score|metadata)$/.test(key)),
          );
          expect(rejects.length).toBe(unknown.length);
          expect(read_.length + rejects.length).toBe(values.length);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("charges a bad element to itself alone", async () => {
    const body = `[${JSON.stringify(row("A"))}, {"vendor": }, 7, "x\ny", ${JSON.stringify(row("B"))}]`;
    const { rows: good, lines, rejects, error } = await read(body);
    expect(error).toBeUndefined();
    expect(good.map(({ symbol }) => symbol)).toEqual(["A", "B"]);
    expect(lines).toEqual([1, 5]);
    expect(rejects).toEqual([2, 3, 4].map((line) => ({ line, code: "json_invalid" })));
  });

  it.each([
    ["[1,,2]", "Element 2 of the JSON array is missing."],
    ["[1,]", "Element 2 of the JSON array is missing."],
    ["[,1]", "Element 1 of the JSON array is missing."],
    ["[1}", "Element 1 of the JSON array closes more than it opens."],
    ["[1] x", "The body goes on after its JSON array."],
    ["[1", "The JSON array breaks off after element 0."],
    ['[1, "a]', "The JSON array breaks off after element 1."],
    ["ts,symbol", "The body is neither NDJSON (one object a line) nor a JSON array of objects."],
    [gzipSync(ndjson).subarray(0, -12), "The body's compressed data breaks off."],
  ])("says of %j what is wrong", async (body, message) => {
    expect((await read(body)).error).toMatchObject({ code: "body_invalid", message });
  });

  it("gives what came before the place where a body breaks off", async () => {
    const { lines, error } = await read(JSON.stringify(rows).slice(0, -5));
    expect(lines).toEqual([1, 2]);
    expect(error).toMatchObject({ code: "body_invalid" });
  });
});
