import { describe, expect, it } from "vitest";
import { slope } from "./slope.ts";

describe("slope", () => {
  it("is 0 where nothing grows and 1 where it grows as the data does", () => {
    expect(slope([1, 10, 50], [7, 7, 7])).toBeCloseTo(0);
    expect(slope([1, 10, 50], [3, 30, 150])).toBeCloseTo(1);
    expect(slope([1, 100], [5, 50])).toBeCloseTo(0.5);
    expect(slope([1, 100], [50, 5])).toBeCloseTo(-0.5);
  });

  it("is unknown with one size", () => {
    expect(slope([1_000], [5])).toBeNull();
    expect(slope([1_000, 1_000], [5, 6])).toBeNull();
  });
});
