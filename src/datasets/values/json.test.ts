import { describe, expect, it } from "vitest";
import { parseJson } from "./json.ts";

describe("parseJson", () => {
  it("passes text on as written, and writes an object out", () => {
    expect(parseJson("m", '{ "a" : 1.10 }')).toBe('{ "a" : 1.10 }');
    expect(parseJson("m", { a: 1, b: [null, true, "x"], c: 9007199254740993n })).toBe(
      '{"a":1,"b":[null,true,"x"],"c":9007199254740993}',
    );
  });

  it.each([
    ["[]", "json_invalid"],
    ["{", "json_invalid"],
    ['{"a":"\\u0000"}', "nul_in_text"],
    ['{"a":"\\ud800"}', "json_invalid"],
    ['{"a":1e2000}', "number_out_of_range"],
    ['{"a":0e-20000}', "number_out_of_range"],
    [`{"a":${"1".repeat(1_200)}}`, "number_out_of_range"],
  ])("refuses %s", (text, code) => {
    expect(parseJson("m", text)).toMatchObject({ code });
  });

  it("R19 takes nothing that is too long to be read again as PostgreSQL writes it", () => {
    const list = (count: number, item: string): string => `{"a":[${new Array(count).fill(item).join(",")}]}`;
    expect(parseJson("m", list(300_000, "1"))).toBe(list(300_000, "1"));
    expect(parseJson("m", list(400_000, "1"))).toMatchObject({ code: "text_too_long" });
    expect(parseJson("m", list(2_000, "1e900"))).toMatchObject({ code: "text_too_long" });
    expect(parseJson("m", `{"a":"${"x".repeat(1_000_000)}"}`)).toMatchObject({ code: "text_too_long" });
  });
});
