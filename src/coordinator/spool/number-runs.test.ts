import fc from "fast-check";
import { expect, it } from "vitest";
import { decodeRuns, encodeRuns, runsOf } from "./number-runs.ts";

it("brings back any set of numbers", () => {
  const numbers = fc.array(fc.oneof(fc.nat(200), fc.maxSafeNat()), { maxLength: 300 });
  fc.assert(
    fc.property(fc.maxSafeNat(), numbers, (head, given) => {
      const back = decodeRuns(encodeRuns(head, runsOf(given)));
      const all = back.runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, at) => first + at));
      expect(back.head).toBe(head);
      expect(all).toEqual([...new Set(given)].sort((a, b) => a - b));
    }),
  );
});

it("takes a few bytes for neighbours", () => {
  expect(encodeRuns(1, runsOf([7, 5, 6, 8, 5])).length).toBe(3);
});
