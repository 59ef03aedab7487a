import { describe, expect, it } from "vitest";
import { type EpochUnit, parseEpoch } from "./epoch-time.ts";

describe("parseEpoch", () => {
  it.each<[unknown, EpochUnit, bigint]>([
    ["1735689600000", "ms or us", 1_735_689_600_000_000n],
    ["1735689600000001", "ms or us", 1_735_689_600_000_001n],
    [1735689600000, "ms or us", 1_735_689_600_000_000n],
    [" 1744792500000000000 ", "ns", 1_744_792_500_000_000n],
    ["1744792500123456000", "ns", 1_744_792_500_123_456n],
    ["-1000", "ns", -1n],
  ])("reads %j in %s exactly", (value, unit, us) => {
    expect(parseEpoch("ts", value, unit)).toBe(us);
  });

  it.each<[unknown, EpochUnit, string]>([
    ["1744792500123456789", "ns", "time_too_precise"],
    ["1735689600", "ms or us", "time_invalid"],
    ["17356896000000", "ms or us", "time_invalid"],
    ["1735689600000.5", "ms or us", "time_invalid"],
    ["1e12", "ms or us", "time_invalid"],
    ["2024-01-01T00:00:00Z", "ns", "time_invalid"],
    ["", "ns", "time_invalid"],
    ["9".repeat(30), "ns", "time_invalid"],
    [{}, "ns", "time_invalid"],
  ])("rejects %j in %s", (value, unit, code) => {
    expect(parseEpoch("ts", value, unit)).toMatchObject({ code, message: expect.stringMatching(/^ts is .*\.$/) });
  });
});
