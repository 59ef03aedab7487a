import { describe, expect, it } from "vitest";
import { ManualClock, settled } from "../../test/support/manual-clock.ts";
import { CircuitBreaker, type Permit } from "./circuit-breaker.ts";

const { signal } = new AbortController();

function setUp() {
  const clock = new ManualClock();
  const states: string[] = [];
  const breaker = new CircuitBreaker({
    failuresToOpen: 3,
    halfOpenAfterMs: 1_000,
    clock,
    onChange: (state) => void states.push(state),
  });
  const fail = async (): Promise<void> => (await breaker.enter(signal)).report("failure");
  return { clock, breaker, states, fail };
}

describe("CircuitBreaker", () => {
  it("opens after failures in a row, not after as many in all", async () => {
    const { breaker, fail } = setUp();
    for (let round = 0; round < 3; round++) {
      await fail();
      await fail();
      (await breaker.enter(signal)).report("success");
    }
    expect(breaker.state).toBe("closed");
    await fail();
    await fail();
    await fail();
    expect(breaker.state).toBe("open");
  });

  it("lets the one that has waited longest probe, and the others go on when that succeeds", async () => {
    const { clock, breaker, states, fail } = setUp();
    await Promise.all([fail(), fail(), fail()]);
    const entered: [number, Permit][] = [];
    for (let at = 0; at < 3; at++)
      void Promise.resolve(breaker.enter(signal)).then((permit) => entered.push([at, permit]));
    await clock.advance(999);
    expect(entered).toEqual([]);
    await clock.advance(1);
    expect(entered.map(([at]) => at)).toEqual([0]);
    entered[0]![1].report("failure");
    await clock.advance(1_000);
    expect(entered.map(([at]) => at)).toEqual([0, 1]);
    entered[1]![1].report("success");
    await settled();
    expect(entered.map(([at]) => at)).toEqual([0, 1, 2]);
    expect(states).toEqual(["open", "half_open", "open", "half_open", "closed"]);
    expect(clock.timers).toBe(0);
  });

  it("a probe that was given up lets the next one probe at once", async () => {
    const { clock, breaker, fail } = setUp();
    await Promise.all([fail(), fail(), fail()]);
    const first = breaker.enter(signal);
    const second = breaker.enter(signal);
    await clock.advance(1_000);
    (await first).report("unknown");
    await clock.advance(0);
    (await second).report("success");
    expect(breaker.state).toBe("closed");
  });

  it("does not heed what was begun before it changed", async () => {
    const { clock, breaker, fail } = setUp();
    const old = await breaker.enter(signal);
    await Promise.all([fail(), fail(), fail()]);
    old.report("success");
    expect({ state: breaker.state, isCurrent: old.isCurrent }).toEqual({ state: "open", isCurrent: false });
    const probe = breaker.enter(signal);
    await clock.advance(1_000);
    old.report("failure");
    expect(breaker.state).toBe("half_open");
    (await probe).report("success");
    expect(breaker.state).toBe("closed");
  });

  it("stops waiting when it is told to, and needs no timer while nobody waits", async () => {
    const { clock, breaker, fail } = setUp();
    await Promise.all([fail(), fail(), fail()]);
    expect(clock.timers).toBe(0);
    const stop = new AbortController();
    const waiting = breaker.enter(stop.signal);
    expect(clock.timers).toBe(1);
    stop.abort(new RangeError("enough"));
    await expect(waiting).rejects.toThrow(RangeError);
    expect({ timers: clock.timers, waiting: breaker.waiting }).toEqual({ timers: 0, waiting: 0 });
    await expect(breaker.enter(stop.signal)).rejects.toThrow(RangeError);
  });
});
