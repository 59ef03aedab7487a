import { describe, expect, it } from "vitest";
import { type Feedback, FeedbackBus } from "./feedback-bus.ts";

const event = (queueSize: number): Feedback => ({
  coordinator_id: "c",
  queue_size: queueSize,
  capacity: 100,
  level: "soft",
  source: "store",
  ts: 1,
  reason: "queue_filling",
  utilization: queueSize / 100,
});

describe("FeedbackBus", () => {
  it("delivers in order, one event at a time, and never in the publisher's turn", async () => {
    const bus = new FeedbackBus();
    const seen: number[] = [];
    let running = 0;
    bus.subscribe({
      name: "a",
      deliver: async ({ queue_size }) => {
        expect(++running).toBe(1);
        await Promise.resolve();
        running--;
        seen.push(queue_size);
      },
    });
    for (let at = 0; at < 10; at++) bus.publish(event(at));
    await Promise.resolve();
    expect(seen).toEqual([]);
    await bus.drained();
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("keeps the newest of what a slow subscriber has not taken, and counts the others", async () => {
    const outcomes: string[] = [];
    const bus = new FeedbackBus({ onOutcome: (name, outcome) => void outcomes.push(`${name} ${outcome}`) });
    const seen: number[] = [];
    bus.subscribe({ name: "slow", capacity: 2, deliver: ({ queue_size }) => void seen.push(queue_size) });
    for (let at = 0; at < 5; at++) bus.publish(event(at));
    await bus.drained();
    expect(seen).toEqual([3, 4]);
    expect(outcomes).toEqual([
      ...["slow dropped", "slow dropped", "slow dropped"],
      ...["slow delivered", "slow delivered"],
    ]);
  });

  it("one subscriber's failure or silence is nobody else's", async () => {
    const outcomes: string[] = [];
    const bus = new FeedbackBus({ onOutcome: (name, outcome) => void outcomes.push(`${name} ${outcome}`) });
    const seen: number[] = [];
    bus.subscribe({
      name: "throws",
      deliver: () => {
        throw new TypeError("no");
      },
    });
    bus.subscribe({ name: "hangs", deliver: () => new Promise<void>(() => {}) });
    bus.subscribe({ name: "works", deliver: ({ queue_size }) => void seen.push(queue_size) });
    for (let at = 0; at < 3; at++) bus.publish(event(at));
    await expect.poll(() => seen).toEqual([0, 1, 2]);
    expect(outcomes.filter((one) => one.startsWith("throws"))).toEqual(new Array(3).fill("throws failed"));
  });

  it("gives a subscriber that has left nothing any more", async () => {
    const bus = new FeedbackBus();
    const seen: number[] = [];
    const leave = bus.subscribe({ name: "a", deliver: ({ queue_size }) => void seen.push(queue_size) });
    bus.publish(event(1));
    leave();
    bus.publish(event(2));
    await new Promise((resolve) => void setImmediate(resolve));
    await bus.drained();
    expect(seen).toEqual([]);
  });
});
