import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteWriter } from "./byte-writer.ts";

describe("ByteWriter", () => {
  it("writes any text as UTF-8, however long", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme", maxLength: 80 })), (texts) => {
        const out = new ByteWriter();
        for (const text of texts) out.text(text);
        expect(out.take().toString()).toBe(texts.join(""));
      }),
    );
    const out = new ByteWriter();
    for (const _ of Array.from({ length: 5 })) out.text("é".repeat(1_000_000));
    expect(out.take().toString()).toBe("é".repeat(5_000_000));
  });

  it("writes a quick decimal exactly as the runtime does, or not at all", () => {
    const prices = fc
      .integer({ min: -100_000, max: 1_000_000_000 })
      .chain((digits) => fc.integer({ min: 0, max: 6 }).map((places) => digits / 10 ** places));
    fc.assert(
      fc.property(fc.oneof(prices, fc.double(), fc.nat(), fc.maxSafeInteger()), (value) => {
        const out = new ByteWriter();
        expect(out.quickDecimal(value) ? out.take().toString() : String(value)).toBe(String(value));
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([0, 0.0001, 0.1, 1, 9.99, 10, 99.9999, 100.01, 123456.7801, 999_999_999.9999])("is quick for %d", (value) => {
    const out = new ByteWriter();
    expect(out.quickDecimal(value)).toBe(true);
    expect(out.take().toString()).toBe(String(value));
  });

  it.each([-1, 0.00001, 1e9, 1e21, Number.NaN, Number.POSITIVE_INFINITY, 0.1 + 0.2])("leaves %d alone", (value) => {
    const out = new ByteWriter();
    expect(out.quickDecimal(value)).toBe(false);
    expect(out.take().length).toBe(0);
  });

  it("gives bytes that later writing does not change", () => {
    const out = new ByteWriter();
    out.bytes(Buffer.from("one"));
    const taken = out.take();
    out.bytes(Buffer.from("two"));
    expect([taken, out.take(), out.take()].map(String)).toEqual(["one", "two", ""]);
  });
});
