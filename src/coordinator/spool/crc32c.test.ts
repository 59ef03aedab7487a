import { expect, it } from "vitest";
import { crc32c } from "./crc32c.ts";

it.each([
  // RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
  ["nothing", Buffer.alloc(0), 0],
  ["the digits", Buffer.from("123456789"), 0xe3069283],
  ["32 zeroes", Buffer.alloc(32), 0x8a9136aa],
  ["32 ones", Buffer.alloc(32, 0xff), 0x62a8ab43],
  ["ascending bytes", Buffer.from(Array.from({ length: 32 }, (_, at) => at)), 0x46dd794e],
])("checks %s as everybody does", (_, bytes, crc) => {
  expect(crc32c(bytes)).toBe(crc);
});

it("checks a part of the bytes", () => {
  expect(crc32c(Buffer.from("xx123456789y"), 2, 11)).toBe(0xe3069283);
});
