/** The event bus while its server is away, hangs, or refuses: publishers do not notice, and events go on. */
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { EventEnvelope } from "../../src/contracts/event-envelope.ts";
import type { Consumption, PublishOutcome } from "../../src/feedback/event-bus.ts";
import { RedisBus } from "../../src/feedback/redis-bus.ts";
import { type RedisServer, redisOrWarning, startRedis } from "../support/redis-server.ts";

const { binary, missing } = await redisOrWarning("an outage of the event bus");
const STREAM = "mdp.telemetry.feedback";
const BUFFER = 1_000;

const until = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 30_000, interval: 10 });
const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, at) => from + at);
const envelope = (n: number): EventEnvelope => ({
  id: randomUUID(),
  key: "k",
  ts: 1,
  meta: { schema_id: "telemetry.FeedbackEvent", track: "v1", headers: {} },
  payload: { n },
});

describe.skipIf(binary === undefined)(`an outage of Redis${missing}`, () => {
  let redis: RedisServer;
  let bus: RedisBus;
  let consumption: Consumption;
  let seen: Set<number>;
  let told: string[];

  const publish = (count: number, from = 0): Promise<PublishOutcome>[] =>
    numbers(count, from).map((n) => bus.publish(STREAM, envelope(n)));
  const connected = () => until(() => expect(bus.health()).toMatchObject({ connected: true, buffered: 0 }));
  const note = (_facts: unknown, message?: string): void => void told.push(message ?? "");
  const open = async (): Promise<void> => {
    bus = await RedisBus.open({ url: redis.url, log: { info: note, warn: note }, bufferEvents: BUFFER });
    consumption = bus.consume({
      stream: STREAM,
      group: "a",
      handle: ({ data }) => void seen.add((JSON.parse(data) as EventEnvelope).payload["n"] as number),
    });
  };

  beforeEach(async () => {
    redis = await startRedis(binary!);
    [seen, told] = [new Set(), []];
  });

  afterEach(async () => {
    redis.resume();
    await consumption.close({ timeoutMs: 100 });
    await bus.close();
    await redis.stop();
  });

  it("is waited for at the start, and says so once", async () => {
    await redis.kill();
    await open();
    const outcomes = publish(100);
    await until(() => expect(told).toContain("Redis is away; it is tried again until it is back."));
    expect(bus.health()).toEqual({ connected: false, buffered: 100, dropped: 0 });
    await redis.start();
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["success"]));
    await until(() => expect([...seen]).toEqual(numbers(100)));
    // Publisher and consumer each.
    await until(() => expect(told.filter((text) => text === "Redis is back.")).toHaveLength(2));
    expect(told.filter((text) => text.includes("is away"))).toHaveLength(2);
  });

  it("bounds what waits, drops the oldest and counts them", async () => {
    await redis.kill();
    await open();
    const outcomes = publish(5 * BUFFER);
    expect(bus.health()).toEqual({ connected: false, buffered: BUFFER, dropped: 4 * BUFFER });
    expect(new Set(await Promise.all(outcomes.slice(0, 4 * BUFFER)))).toEqual(new Set(["dropped"]));
    await redis.start();
    expect(new Set(await Promise.all(outcomes.slice(4 * BUFFER)))).toEqual(new Set(["success"]));
    await until(() => expect([...seen]).toEqual(numbers(BUFFER, 4 * BUFFER)));
  });

  it("killed in the middle of the traffic loses nothing that was not sent, and keeps the order", async () => {
    await open();
    await Promise.all(publish(100));
    await until(() => expect([...seen]).toEqual(numbers(100)));
    const outcomes = [...publish(200, 100)];
    await redis.kill();
    outcomes.push(...publish(300, 300));
    await redis.start();
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["success"]));
    // What the killed server had taken is gone with its memory; all that was open went to the new one.
    await until(() => expect(Math.max(...seen)).toBe(599));
    expect([...seen]).toEqual([...seen].toSorted((a, b) => a - b));
    expect([...seen].slice(-300)).toEqual(numbers(300, 300));
  });

  it("that hangs holds nobody up, and its connection is given up", async () => {
    await open();
    await connected();
    redis.pause();
    const startedAt = performance.now();
    const outcomes = publish(BUFFER / 2);
    expect(performance.now() - startedAt).toBeLessThan(500);
    await until(() => expect(bus.health()).toMatchObject({ connected: false, buffered: BUFFER / 2 }));
    redis.resume();
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["success"]));
    await until(() => expect([...seen]).toEqual(numbers(BUFFER / 2)));
  });

  it("without memory is asked again later; a stream that is none is a failure", async () => {
    await open();
    await connected();
    await redis.command("SET", "no.stream", "text");
    expect(await bus.publish("no.stream", envelope(0))).toBe("failure");
    await redis.command("CONFIG", "SET", "maxmemory", "1");
    const outcome = bus.publish(STREAM, envelope(1));
    await until(() => expect(bus.health()).toMatchObject({ connected: false, buffered: 1 }));
    await redis.command("CONFIG", "SET", "maxmemory", "0");
    expect(await outcome).toBe("success");
    await connected();
  });

  it("a bus that is closed while the server is away ends at once, and says what became of its events", async () => {
    await redis.kill();
    await open();
    const outcomes = publish(3);
    await bus.close();
    expect(await Promise.all(outcomes)).toEqual(["dropped", "dropped", "dropped"]);
  });

  it("a bus that is closed sends what waits first", async () => {
    await open();
    await connected();
    const outcomes = publish(50);
    await bus.close();
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["success"]));
  });
});
