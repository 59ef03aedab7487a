import { expect, it } from "vitest";
import { backoffMs } from "./backoff.ts";

const options = { initialMs: 50, maxMs: 300, multiplier: 2, jitter: false };

it("grows by the multiplier up to its bound, and jitter takes up to half of it away", () => {
  expect([1, 2, 3, 4, 5].map((failures) => backoffMs(options, failures))).toEqual([50, 100, 200, 300, 300]);
  expect(backoffMs({ ...options, jitter: true }, 2, () => 0)).toBe(50);
  expect(backoffMs({ ...options, jitter: true }, 2, () => 0.999)).toBeCloseTo(100, 0);
});
