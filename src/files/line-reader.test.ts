import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_LINE_BYTES, readLines, type UnreadableLine } from "./line-reader.ts";

type Line = string | UnreadableLine;

async function* chunks(bytes: Buffer, cuts: readonly number[] = []): AsyncGenerator<Buffer> {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let index = 1; index < places.length; index++) yield bytes.subarray(places[index - 1], places[index]);
}

/** All lines, after making sure that their numbers have no gap. */
async function lines(source: AsyncIterable<Buffer>): Promise<Line[]> {
  const all: Line[] = [];
  for await (const batch of readLines(source)) {
    expect(batch.first).toBe(all.length + 1);
    all.push(...batch.lines);
  }
  return all;
}

const code = (line: Line | undefined) => (typeof line === "object" ? line.rejection.code : line);

describe("readLines", () => {
  it.each([
    ["", []],
    ["\n", [""]],
    ["a", ["a"]],
    ["a\n", ["a"]],
    ["a\nb", ["a", "b"]],
    ["a\r\nb\r\n", ["a\r", "b\r"]],
    ["\n\na\n\n", ["", "", "a", ""]],
  ])("splits %o", async (text, expected) => {
    expect(await lines(chunks(Buffer.from(text)))).toEqual(expected);
  });

  it("gives the same lines however the bytes are cut", async () => {
    const text = fc.array(fc.oneof(fc.string({ unit: "grapheme" }), fc.constant("\n"), fc.constant("\r\n")));
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.nat(), { maxLength: 10 }), async (parts, cuts) => {
        const whole = parts.join("");
        const expected = whole.endsWith("\n") ? whole.slice(0, -1).split("\n") : whole.split("\n");
        expect(await lines(chunks(Buffer.from(whole), cuts))).toEqual(whole === "" ? [] : expected);
      }),
    );
  });

  it("rejects a line that is not UTF-8, alone", async () => {
    const bytes = Buffer.concat([Buffer.from("é1\n"), Buffer.from("M\xfcnchen\n", "latin1"), Buffer.from("é3")]);
    for (const cuts of [[], [3], [5], [9]]) {
      const all = await lines(chunks(bytes, cuts));
      expect(all.map(code)).toEqual(["é1", "line_not_utf8", "é3"]);
      expect(all[1]).toMatchObject({ raw: "M\ufffdnchen" });
    }
  });

  it("rejects a line that is too long and holds no more of it than a preview", async () => {
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    async function* long(): AsyncGenerator<Buffer> {
      yield Buffer.from("one\n");
      for (let count = 0; count < 512; count++) {
        yield Buffer.alloc(1 << 20, "x");
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      }
      yield Buffer.from("\nthree\n");
    }
    const all = await lines(long());
    expect(all.map(code)).toEqual(["one", "line_too_long", "three"]);
    expect(all[1]).toMatchObject({ raw: `${"x".repeat(200)}…` });
    // The line has 512 MiB; what is dropped may wait a while to be collected.
    expect(most).toBeLessThan(256 << 20);
  });

  it("draws the limit at the same byte, wherever a chunk ends", async () => {
    const exact = "x".repeat(MAX_LINE_BYTES);
    for (const cuts of [[], [7], [MAX_LINE_BYTES], [MAX_LINE_BYTES + 1], [MAX_LINE_BYTES + 2]]) {
      expect((await lines(chunks(Buffer.from(`${exact}\r\nb`), cuts))).map(code)).toEqual([`${exact}\r`, "b"]);
      expect((await lines(chunks(Buffer.from(`${exact}x\nb`), cuts))).map(code)).toEqual(["line_too_long", "b"]);
      expect((await lines(chunks(Buffer.from(`${exact}x\r\nb`), cuts))).map(code)).toEqual(["line_too_long", "b"]);
    }
    expect((await lines(chunks(Buffer.from(`${exact}x`)))).map(code)).toEqual(["line_too_long"]);
  });

  it("says where a NUL may be", async () => {
    for await (const batch of readLines(chunks(Buffer.from("a\nb\0c\n")))) expect(batch.hasNul).toBe(true);
    for await (const batch of readLines(chunks(Buffer.from("a\nbc\n")))) expect(batch.hasNul).toBe(false);
  });

  it("gives the whole lines before a failure of its source", async () => {
    async function* failing(): AsyncGenerator<Buffer> {
      yield Buffer.from("one\ntwo\nthr");
      throw new RangeError("source");
    }
    const seen: Line[] = [];
    const reading = async () => {
      for await (const batch of readLines(failing())) seen.push(...batch.lines);
    };
    await expect(reading()).rejects.toThrow("source");
    expect(seen).toEqual(["one", "two"]);
  });
});
