import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { withDeadline } from "./with-deadline.ts";

describe("withDeadline", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("gives what the task returns, and leaves no timer", async () => {
    expect(await withDeadline(100, async () => 7)).toBe(7);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("passes the task's error on, and leaves no timer", async () => {
    await expect(withDeadline(100, () => Promise.reject(new RangeError("no")))).rejects.toThrow(RangeError);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("ends at the deadline although the task does not heed its signal", async () => {
    let signal: AbortSignal | undefined;
    const ended = withDeadline(100, (given) => {
      signal = given;
      return new Promise(() => {});
    });
    const outcome = expect(ended).rejects.toMatchObject({ code: "deadline_exceeded" });
    vi.advanceTimersByTime(99);
    expect(signal?.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(signal?.aborted).toBe(true);
    await outcome;
  });

  it("says deadline_exceeded whatever the task throws when its signal is aborted", async () => {
    const ended = withDeadline(100, (signal) => {
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new RangeError("cancelled"))));
    });
    const outcome = expect(ended).rejects.toMatchObject({ code: "deadline_exceeded" });
    vi.advanceTimersByTime(100);
    await outcome;
  });
});
