import { setFlagsFromString } from "node:v8";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { optimizeWhenBusy } from "./optimizing-compilers.ts";

vi.mock("node:v8", () => ({ setFlagsFromString: vi.fn() }));

let usedMs = 0;
let end: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(process, "cpuUsage").mockImplementation((before) => {
    return { user: usedMs * 1_000 - (before?.user ?? 0), system: 0 };
  });
  end = optimizeWhenBusy();
});

afterEach(() => {
  end();
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.mocked(setFlagsFromString).mockClear();
});

/** Half seconds that take so much processor time each. */
function pass(...eachMs: readonly number[]): void {
  for (const ms of eachMs) {
    usedMs += ms;
    vi.advanceTimersByTime(500);
  }
}

it("lets a busy process optimize, once", () => {
  pass(10, 200, 200);
  expect(setFlagsFromString).not.toHaveBeenCalled();
  pass(200);
  const flags = vi.mocked(setFlagsFromString).mock.calls.flat();
  expect(flags).toEqual(expect.arrayContaining(["--turbofan", "--maglev"]));
  pass(200, 200, 200, 200);
  expect(setFlagsFromString).toHaveBeenCalledTimes(flags.length);
});

it("takes short work, however often, for idleness", () => {
  for (let minute = 0; minute < 10; minute++) pass(400, 400, 10);
  expect(setFlagsFromString).not.toHaveBeenCalled();
});

it("looks no more when it is ended", () => {
  end();
  pass(400, 400, 400, 400);
  expect(setFlagsFromString).not.toHaveBeenCalled();
});
