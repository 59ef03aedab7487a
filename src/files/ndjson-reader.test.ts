import { describe, expect, it } from "vitest";
import { bars } from "../datasets/bars.ts";
import { type ColumnOptions, columnNames } from "./column-names.ts";
import { readLines } from "./line-reader.ts";
import { readNdjson } from "./ndjson-reader.ts";

async function read(text: string | Buffer, options: ColumnOptions = {}) {
  async function* source(): AsyncGenerator<Buffer> {
    yield Buffer.from(text);
  }
  const rows: [number, object][] = [];
  const rejects: [number, string, string][] = [];
  for await (const batch of readNdjson(readLines(source()), columnNames(bars, options))) {
    for (const [index, row] of batch.rows.entries()) rows.push([batch.lines[index]!, row]);
    for (const { line, rejection } of batch.rejects) rejects.push([line, rejection.code, rejection.message]);
  }
  return { rows, rejects };
}

describe("readNdjson", () => {
  it("R14 reads objects under canonical names; absent stays absent, null stays null", async () => {
    const { rows } = await read('{"ts":"t","ticker":"A","Open":1.5,"volume":null}\n', { constants: { vendor: "x" } });
    expect(rows).toEqual([[1, { vendor: "x", ts: "t", symbol: "A", open_price: 1.5, volume: null }]]);
    expect(Object.keys(rows[0]![1])).not.toContain("close_price");
  });

  it("skips blank lines and reads CRLF and a last line without an end", async () => {
    const { rows, rejects } = await read('\n{"symbol":"A"}\r\n  \t\r\n{"symbol":"B"}');
    expect(rows).toEqual([
      [2, { symbol: "A" }],
      [4, { symbol: "B" }],
    ]);
    expect(rejects).toEqual([]);
  });

  it.each([
    ["9007199254740993", "9007199254740993"],
    ["0.10000000000000000555", "0.10000000000000000555"],
    ["123456789012345.6", "123456789012345.6"],
    ["1e400", "1e400"],
    ["1e-400", "1e-400"],
    ["4e-324", "4e-324"],
    ["-12345678901234567890", "-12345678901234567890"],
    ["611.78", 611.78],
    ["123456789012345", 123456789012345],
    ["0", 0],
    ["true", true],
    ['"12"', "12"],
  ])("passes %s on as %o, so that no digit is lost", async (literal, value) => {
    for (const line of [`{"volume":${literal},"open":0.25}`, `{"open":0, "close":12,"volume": ${literal} }`]) {
      expect((await read(line)).rows[0]![1]).toMatchObject({ volume: value });
    }
  });

  it("passes an exponent on as a number where nothing can be lost", async () => {
    expect((await read('{"volume":1e3}')).rows).toEqual([[1, { volume: 1000 }]]);
  });

  it("leaves numbers inside values as they are", async () => {
    const { rows } = await read('{"volume":{"open":9007199254740993,"volume":[1e400]}}');
    expect(rows[0]![1]).toEqual({ volume: { open: 9007199254740992, volume: [Number.POSITIVE_INFINITY] } });
  });

  it.each([
    ['{"symbol":"A"', "json_invalid"],
    ["{symbol:1}", "json_invalid"],
    ['{"open":NaN}', "json_invalid"],
    ['{"open":Infinity}', "json_invalid"],
    ['[{"open":1}]', "json_invalid"],
    ["12", "json_invalid"],
    ["null", "json_invalid"],
    ['"text"', "json_invalid"],
    ["abc", "json_invalid"],
    ['{"symbol":"A\0"}', "nul_in_text"],
    ['{"exchange":"x"}', "field_unknown"],
    ['{"__proto__":{"open":1}}', "field_unknown"],
    ['{"constructor":1}', "field_unknown"],
    ['{"open":1,"open_price":2}', "field_invalid"],
    ['{"vendor":"y"}', "field_invalid"],
    [`{"open":${"[".repeat(100_000)}`, "json_invalid"],
    [`{"volume":1234567890123456789,"open":${"[".repeat(50_000)}${"]".repeat(50_000)}}`, "json_invalid"],
  ])("lets the bad line %# cost itself alone", async (line, code) => {
    const { rows, rejects } = await read(`{"symbol":"A"}\n${line}\n{"symbol":"B"}\n`, { constants: { vendor: "x" } });
    expect(rows.map(([number]) => number)).toEqual([1, 3]);
    expect(rejects.map(([number, each]) => [number, each])).toEqual([[2, code]]);
  });

  it("says in its messages which field, with nothing in them that acts on a terminal", async () => {
    const { rejects } = await read('{"exch\\u001b[2J":1}\n{"open":1,"open_price":2}\n\u001b[2Jabc\n');
    expect(rejects.map(([, , message]) => message)).toEqual([
      '"exch\\u001b[2J" is no column of bars.',
      '"open_price" means open_price, which is in the object under another name too.',
      expect.stringMatching(/^The line is not JSON: .*\.$/),
    ]);
    expect(rejects[2]![2]).not.toContain("\u001b");
  });

  it("leaves out what it is told to", async () => {
    const { rows } = await read('{"symbol":"A","exchange":"x"}', { ignoreColumns: ["exchange"] });
    expect(rows).toEqual([[1, { symbol: "A" }]]);
  });

  it("never touches the prototype", async () => {
    await read('{"__proto__":{"polluted":1}}\n{"constructor":{"prototype":{"polluted":1}}}');
    expect("polluted" in {}).toBe(false);
  });

  it("rejects lines that are not UTF-8", async () => {
    const { rows, rejects } = await read(Buffer.from('{"symbol":"M\xfc"}\n{"symbol":"B"}\n', "latin1"));
    expect(rows).toEqual([[2, { symbol: "B" }]]);
    expect(rejects).toEqual([[1, "line_not_utf8", "The line is not text in UTF-8."]]);
  });
});
