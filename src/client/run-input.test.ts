import { describe, expect, it } from "vitest";
import { newRunValues, outcomeValues, progressValues, runIdOf } from "./run-input.ts";

const run = { job_name: "load", mode: "live" } as const;
const refused = (code: string) => expect.objectContaining({ code });

describe("a new run", () => {
  it("is passed on in the order of the function's parameters", () => {
    expect(newRunValues({ ...run, job_name: " load ", symbols: ["B", "A"], metadata: { a: 1 } })).toEqual([
      "load",
      "live",
      null,
      null,
      null,
      ["B", "A"],
      '{"a":1}',
    ]);
  });

  it.each([
    ["usage", { ...run, mode: "sometimes" }],
    ["usage", { ...run, jobName: "load" }],
    ["usage", { ...run, config_fingerprint: "0123456789ABCDEF" }],
    ["usage", { ...run, symbols: "AAPL" }],
    ["usage", { ...run, symbols: Array.from({ length: 100_001 }, () => "A") }],
    ["text_empty", { ...run, job_name: " " }],
    ["text_invalid", { mode: "live" }],
    ["text_too_long", { ...run, provider: "x".repeat(65) }],
    ["nul_in_text", { ...run, symbols: ["A\0"] }],
    ["json_invalid", { ...run, metadata: [1] }],
    ["usage", null],
  ])("is refused with %s: %#", (code, given) => {
    expect(() => newRunValues(given as never)).toThrow(refused(code));
  });
});

describe("progress", () => {
  it("counts nothing where nothing is said", () => {
    expect(progressValues({})).toEqual(["0", "0", null, null, null, null]);
  });

  it("takes counts of any size that the database holds, and times in every form", () => {
    const progress = {
      rows_written: 2n ** 63n - 1n,
      min_ts: 1_704_067_200_000_001n,
      max_ts: new Date(1_704_067_201_000),
    };
    expect(progressValues(progress).slice(0, 5)).toEqual([
      "9223372036854775807",
      "0",
      null,
      "2024-01-01T00:00:00.000001Z",
      "2024-01-01T00:00:01Z",
    ]);
  });

  it.each([
    ["usage", { rows_written: -1 }],
    ["usage", { rows_written: 0.5 }],
    ["usage", { rows_failed: Number.NaN }],
    ["usage", { rows_failed: "1" }],
    ["usage", { rows_written: 2n ** 63n }],
    ["usage", { rows_written: 2 ** 53 }],
    ["usage", { rowsWritten: 1 }],
    ["time_zone_missing", { min_ts: "2024-01-01" }],
  ])("is refused with %s: %#", (code, given) => {
    expect(() => progressValues(given as never)).toThrow(refused(code));
  });
});

describe("an outcome", () => {
  it("is a success unless something else is said", () => {
    expect(outcomeValues({ rows_written: 1 }).slice(0, 3)).toEqual(["succeeded", null, "1"]);
  });

  it.each([
    [{ status: "running" }],
    [{ status: "done" }],
    [{ error: "but it failed" }],
    [{ status: "succeeded", error: "but it failed" }],
  ])("is refused when it contradicts itself: %j", (given) => {
    expect(() => outcomeValues(given as never)).toThrow(refused("usage"));
  });

  it.each([
    ["postgres://u:hunter2@db/md is away", "postgres://u:***@db/md is away"],
    ["a\0b\ud800", "a\ufffdb\ufffd"],
    ["x".repeat(4_000), "x".repeat(4_000)],
    ["😀".repeat(2_001), `${"😀".repeat(1_999)}\ufffd…`],
    ["", ""],
  ])("keeps an error whatever is in it: %#", (error, kept) => {
    expect(outcomeValues({ status: "failed", error })[1]).toBe(kept);
  });
});

it.each([["x"], [""], [1], [null], ["6f1c1f0e-0000-4000-8000-00000000000g"]])("%j is no id of a run", (id) => {
  expect(() => runIdOf(id)).toThrow(refused("usage"));
});
