import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bars } from "../datasets/bars.ts";
import { columnsOf } from "../datasets/dataset.ts";
import { columnNames } from "./column-names.ts";
import { readCsv } from "./csv-reader.ts";
import { readLines } from "./line-reader.ts";
import type { RecordBatch } from "./record-batch.ts";

async function* chunks(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let index = 1; index < places.length; index++) yield bytes.subarray(places[index - 1], places[index]);
}

async function collect(batches: AsyncIterable<RecordBatch>) {
  const all: RecordBatch = { rows: [], lines: [], rejects: [] };
  for await (const batch of batches) {
    expect(batch.lines).toHaveLength(batch.rows.length);
    all.rows.push(...batch.rows);
    all.lines.push(...batch.lines);
    all.rejects.push(...batch.rejects);
  }
  return all;
}

const constants = { vendor: "x", timeframe: "1m" };

function read(text: string | Buffer, cuts: readonly number[] = []) {
  const lines = readLines(chunks(Buffer.from(text), cuts));
  return collect(readCsv(lines, columnNames(bars, { constants }), "x.csv"));
}

/** Reads records of the columns ts, symbol and close; a row is shown by its symbol and close. */
async function readShort(body: string | Buffer) {
  const { rows, lines, rejects } = await read(Buffer.concat([Buffer.from("ts,symbol,close\n"), Buffer.from(body)]));
  return {
    rows: rows.map((row, index) => [lines[index], row["symbol"], row["close_price"]]),
    rejects: rejects.map(({ line, rejection }) => [line, rejection.code]),
    messages: rejects.map(({ rejection }) => rejection.message),
    raw: rejects.map(({ raw }) => raw),
  };
}

describe("readCsv", () => {
  it("R14 tells an empty cell, a quoted empty one and a missing column apart", async () => {
    const { rows } = await read('ts,symbol,close,volume\nt,"",1,\n');
    expect(rows).toEqual([{ ts: "t", symbol: "", close_price: "1", volume: null, vendor: "x", timeframe: "1m" }]);
    expect("open_price" in rows[0]!).toBe(false);
  });

  it("reads CRLF, blank lines and a last line without an end", async () => {
    const { rows, rejects } = await readShort('\r\nt,A,1\r\n\r\nt,B,\r\n\nt,"C","3"\r\nt,D,4');
    expect(rows).toEqual([
      [3, "A", "1"],
      [5, "B", null],
      [7, "C", "3"],
      [8, "D", "4"],
    ]);
    expect(rejects).toEqual([]);
  });

  it("keeps line ends inside quotes as they are", async () => {
    const { rows } = await readShort('t,"a\r\nb\n\nc",1\r\nt,B,2\n');
    expect(rows).toEqual([
      [2, "a\r\nb\n\nc", "1"],
      [6, "B", "2"],
    ]);
  });

  it("has no rows where there is a header only, or nothing", async () => {
    expect(await read("ts,symbol,close\n")).toEqual({ rows: [], lines: [], rejects: [] });
    expect(await read("ts,symbol,close")).toEqual({ rows: [], lines: [], rejects: [] });
    expect(await read("\n\n")).toEqual({ rows: [], lines: [], rejects: [] });
  });

  it("takes blanks around names, quoted names and any case", async () => {
    const { rows } = await read('"TS", Symbol ,"Close"\nt,A,1\n');
    expect(rows[0]).toMatchObject({ ts: "t", symbol: "A", close_price: "1" });
  });

  it.each([
    ["too few cells", "t,B", "The record has 2 cells where the header has 3."],
    ["too many cells", "t,B,2,3", "The record has 4 cells where the header has 3."],
    ["a comma at its end", "t,B,2,", "The record has 4 cells where the header has 3."],
    ["too many quoted cells", 't,"B",2,3', "The record has 4 cells where the header has 3."],
    ["a stray quote", 't,5" disk,2', "Cell 2 has a quote but does not begin with one."],
    ["text after a quote", 't,"B"x,2', "Text follows the closing quote of cell 2."],
  ])("rejects a record with %s alone", async (_name, line, message) => {
    const result = await readShort(`t,A,1\n${line}\r\nt,C,3\n`);
    expect(result.rows).toEqual([
      [2, "A", "1"],
      [4, "C", "3"],
    ]);
    expect(result.rejects).toEqual([[3, "csv_invalid"]]);
    expect(result.messages).toEqual([message]);
    expect(result.raw).toEqual([line]);
  });

  it.each([
    ["no other quote follows", 't,"B,2', "t,C,3"],
    ["a quoted cell follows", 't,"B,2', 't,"C",3'],
    ["a quoted cell with a doubled quote follows", 't,"B,2', 't,"C""",3'],
  ])("lets an unclosed quote cost its own line, where %s", async (_name, broken, next) => {
    const { rows, rejects } = await readShort(`t,A,1\n${broken}\n${next}\nt,D,4\n`);
    expect(rows.map(([line]) => line)).toEqual([2, 4, 5]);
    expect(rejects).toEqual([[3, "csv_invalid"]]);
  });

  it("takes lines between two unclosed quotes apart where they make no record", async () => {
    const { rows, rejects, messages } = await readShort('t,"A,1\nt,B,2\nt,C,3\nt,D,4,"\nt,E,5\n');
    expect(rows.map(([line]) => line)).toEqual([3, 4, 6]);
    expect(rejects).toEqual([
      [2, "csv_invalid"],
      [5, "csv_invalid"],
    ]);
    expect(messages[0]).toBe("A quote is opened in this line, but lines 2 to 5 do not make a record.");
  });

  it("goes on after each of many unclosed quotes", async () => {
    const body = Array.from({ length: 3_000 }, (_, index) => (index % 3 === 0 ? 't,"X,1\n' : `t,S${index},1\n`));
    const { rows, rejects } = await readShort(body.join(""));
    expect(rejects).toHaveLength(1_000);
    expect(rows).toHaveLength(2_000);
    expect(rows.map(([line]) => line)).toEqual(
      [...rows.keys()].map((index) => 3 + Math.floor(index / 2) * 3 + (index % 2)),
    );
  });

  it("ends an open record where it gets too long, in characters or lines", async () => {
    const long = `t,"${"x".repeat(1_000_000)}\n${"y".repeat(100_000)}\nt,C,3\n`;
    expect(await readShort(long)).toMatchObject({
      rows: [[4, "C", "3"]],
      rejects: [
        [2, "csv_invalid"],
        [3, "csv_invalid"],
      ],
    });
    const many = `t,"B,2\n${"t,C,3\n".repeat(20_000)}`;
    const { rows, rejects, messages } = await readShort(many);
    expect(rejects).toEqual([[2, "csv_invalid"]]);
    expect(messages).toEqual(["A quote is opened in this line and not closed within 10001 lines."]);
    expect(rows).toHaveLength(20_000);
  });

  it("rejects lines that cannot be read, also inside quotes, and goes on", async () => {
    const latin = Buffer.concat([Buffer.from('t,A,1\nt,"B\nM'), Buffer.from([0xfc]), Buffer.from('",2\nt,C,3\n')]);
    const { rows, rejects } = await readShort(latin);
    expect(rows).toEqual([
      [2, "A", "1"],
      [5, "C", "3"],
    ]);
    expect(rejects).toEqual([
      [3, "csv_invalid"],
      [4, "line_not_utf8"],
    ]);
  });

  it("rejects a bare NUL and leaves a quoted one to the value's own check", async () => {
    const { rows, rejects } = await readShort('t,A\0,1\nt,"B\0",2\nt,C,3\n');
    expect(rejects).toEqual([[2, "nul_in_text"]]);
    expect(rows).toEqual([
      [3, "B\0", "2"],
      [4, "C", "3"],
    ]);
  });

  it.each([
    ['ts,"symbol,close\nt,A,1\n', "The first line of x.csv is no CSV header. A quote is not closed."],
    ['ts,s"ymbol,close\n', "The first line of x.csv is no CSV header. Cell 2 has a quote but does not begin with one."],
    [
      Buffer.from("ts,symb\xf6l\n", "latin1"),
      "The first line of x.csv is no CSV header. The line is not text in UTF-8.",
    ],
  ])("refuses the header %o", async (text, message) => {
    await expect(read(text)).rejects.toMatchObject({ code: "file_columns", message });
  });

  it("gives what is whole before a failure of its source", async () => {
    async function* failing(): AsyncGenerator<Buffer> {
      yield Buffer.from('ts,symbol,close\nt,A,1\nt,"B,2\nt,C,3\nt,D');
      throw new RangeError("source");
    }
    const seen: unknown[] = [];
    const reading = async () => {
      for await (const batch of readCsv(readLines(failing()), columnNames(bars, { constants }), "x.csv")) {
        seen.push(...batch.lines, ...batch.rejects.map(({ line }) => -line));
      }
    };
    await expect(reading()).rejects.toThrow("source");
    expect(seen).toEqual([2, 4, -3]);
  });

  it("agrees with csv-parse on well-formed files", async () => {
    const columns = columnsOf(bars).map((column) => column.name);
    const cell = fc
      .record({
        text: fc.oneof(
          fc.string({ unit: "grapheme", maxLength: 8 }).filter((text) => !text.includes("\0")),
          fc.constantFrom("", '"', '""', ",", "\n", "\r\n", "a,b", 'say "hi"', "\n\n", " x "),
        ),
        isQuoted: fc.boolean(),
      })
      .map(({ text, isQuoted }) => {
        const written = isQuoted || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
        return written;
      });
    const record = fc.array(cell, { minLength: columns.length, maxLength: columns.length });
    const file = fc.record({
      records: fc.array(record, { maxLength: 8 }),
      end: fc.constantFrom("\n", "\r\n"),
      hasLastEnd: fc.boolean(),
      cuts: fc.array(fc.nat(), { maxLength: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(file, async ({ records, end, hasLastEnd, cuts }) => {
        const text = [columns, ...records].map((cells) => cells.join(",")).join(end) + (hasLastEnd ? end : "");
        const expected: Record<string, string | null>[] = parse(text, {
          columns: true,
          record_delimiter: end,
          // The oracle gives the empty text for a null; whether a cell was quoted tells them apart.
          cast: (value, { quoting, header }) => (value === "" && !quoting && !header ? null : value),
        });
        const lines = readLines(chunks(Buffer.from(text), cuts));
        const { rows, rejects } = await collect(readCsv(lines, columnNames(bars, {}), "x.csv"));
        expect(rejects).toEqual([]);
        expect(rows).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it("rejects or reads every line of any text, and never gives a line twice", async () => {
    const piece = fc.constantFrom('"', '""', ",", "\n", "\r\n", "t,A,1\n", 't,"A",1\n', "x", "\0");
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 60 }), async (pieces) => {
        const body = pieces.join("");
        const { rows, lines, rejects } = await read(`ts,symbol,close\n${body}`);
        const numbers = [...lines, ...rejects.map(({ line }) => line)];
        expect(new Set(numbers).size).toBe(numbers.length);
        // Every visible character of the body is in a row or in a reject.
        const kept = [
          ...rows.map((row) => JSON.stringify(row)),
          ...rejects.map(({ raw }) => (typeof raw === "string" ? raw : JSON.stringify(raw))),
        ].join("");
        for (const symbol of ["A", "x", "\0"]) {
          const count = (text: string, part: string) => text.split(part).length - 1;
          const escaped = symbol === "\0" ? "\\u0000" : symbol;
          const inConstants = symbol === "x" ? rows.length : 0;
          const keptCount = count(kept, symbol) + (symbol === "\0" ? count(kept, escaped) : 0) - inConstants;
          expect(keptCount).toBe(count(body, symbol));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
