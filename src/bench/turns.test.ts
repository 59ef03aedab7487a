import { describe, expect, it } from "vitest";
import type { Timing } from "./measure.ts";
import { rateFigure, rateOf, ratioOf, ratios, readFigure, type Taken, timeRatio } from "./turns.ts";

const timing = (ms: number): Timing<unknown> => ({ result: undefined, ms, clientMs: ms / 2, serverMs: ms / 4 });
const taken = (rows: number, ...times: number[]): Taken => ({ rows, timings: times.map(timing) });

describe("what was measured in turns", () => {
  it("is compared round by round, by the row", () => {
    const limit = taken(1_000, 10, 20, 40);
    expect(ratios(taken(1_000, 20, 20, 40), limit)).toEqual([0.5, 1, 1]);
    // A fifth of the rows in the time of all of them.
    expect(ratioOf(taken(200, 10, 20, 40), limit)).toBeCloseTo(0.2);
    expect(rateOf(limit)).toBe(50_000);
    expect(timeRatio(taken(1_000, 20, 30, 80), limit)).toBe(2);
  });

  it("says of writes the rate, the share of COPY and processor time", () => {
    const figure = rateFigure(taken(1_000, 20, 20, 40), taken(1_000, 10, 10, 10));
    expect(figure).toEqual({
      rows_per_s: 50_000,
      of_copy: 0.5,
      spread: 1,
      client_cpu_us_per_row: 10,
      server_cpu_us_per_row: 5,
    });
    const unseen = { rows: 1, timings: [{ ...timing(1), serverMs: null }] };
    expect(rateFigure(unseen, unseen)["server_cpu_us_per_row"]).toBeNull();
  });

  it("tells the first read from the others", () => {
    expect(readFigure(taken(1, 50, 3, 3), taken(1, 1, 2, 2))).toEqual({
      first_ms: 50,
      warm_ms: 3,
      times_copy: 1.5,
      spread: 0,
      cpu_ms: 2.25,
    });
  });
});
