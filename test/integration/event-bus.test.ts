/** One suite for both event buses: what publishers and groups may count on. The one on Redis runs on a real server. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { EventEnvelope } from "../../src/contracts/event-envelope.ts";
import type { ConsumeOptions, Consumption, EventBus } from "../../src/feedback/event-bus.ts";
import { MemoryBus } from "../../src/feedback/memory-bus.ts";
import { RedisBus } from "../../src/feedback/redis-bus.ts";
import { type RedisServer, redisOrWarning, startRedis } from "../support/redis-server.ts";

const { binary, missing } = await redisOrWarning("the event bus");
const QUIET = { info: () => undefined, warn: () => undefined };
const KEPT = 200;

const until = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 20_000, interval: 10 });
const envelope = (key: string, n: number): EventEnvelope => ({
  id: randomUUID(),
  key,
  ts: 1_729_234_567.123,
  meta: { schema_id: "telemetry.FeedbackEvent", track: "v1", headers: { n: String(n) } },
  payload: { n },
});

let redis: RedisServer;
beforeAll(async () => {
  if (binary !== undefined) redis = await startRedis(binary);
});
afterAll(async () => {
  await redis?.stop();
});

const opened: EventBus[] = [];
const consuming: Consumption[] = [];
afterEach(async () => {
  for (const consumption of consuming.splice(0)) await consumption.close({ timeoutMs: 100 });
  for (const bus of opened.splice(0)) await bus.close();
});

function consume(bus: EventBus, options: Omit<ConsumeOptions, "handle"> & Partial<ConsumeOptions>) {
  const seen: number[] = [];
  const keys: string[] = [];
  const consumption = bus.consume({
    handle: ({ data }) => {
      const event = JSON.parse(data) as EventEnvelope;
      keys.push(event.key);
      seen.push(event.payload["n"] as number);
    },
    ...options,
  });
  consuming.push(consumption);
  return { seen, keys, consumption };
}

const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, at) => from + at);

const BUSES = [
  { backend: "inmem", open: (): Promise<EventBus> => Promise.resolve(new MemoryBus({ streamEvents: KEPT })) },
  {
    backend: "redis",
    open: async (): Promise<EventBus> => {
      const bus = await RedisBus.open({ url: redis.url, log: QUIET, streamEvents: KEPT });
      await until(() => expect(bus.health().connected).toBe(true));
      return bus;
    },
  },
] as const;

describe.each(BUSES)("the event bus, $backend", ({ backend, open }) => {
  const isMissing = backend === "redis" && binary === undefined;
  const newBus = async () => {
    const bus = await open();
    opened.push(bus);
    return { bus, stream: `test.${randomUUID()}` };
  };

  describe.skipIf(isMissing)(`R39 conformance${isMissing ? missing : ""}`, () => {
    it("delivers what is published, as it was, and keeps the order of each key", async () => {
      const { bus, stream } = await newBus();
      const { seen, keys, consumption } = consume(bus, { stream, group: "a" });
      await consumption.ready;
      const outcomes = await Promise.all(numbers(150).map((n) => bus.publish(stream, envelope(`key-${n % 3}`, n))));
      expect(new Set(outcomes)).toEqual(new Set(["success"]));
      await until(() => expect(seen).toHaveLength(150));
      for (const key of ["key-0", "key-1", "key-2"]) {
        const ofKey = seen.filter((_, at) => keys[at] === key);
        expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b));
      }
    });

    it("passes an envelope on unchanged", async () => {
      const { bus, stream } = await newBus();
      const got: string[] = [];
      consume(bus, { stream, group: "a", handle: ({ data }) => void got.push(data) });
      const event = { ...envelope("ключ 😀", 1), payload: { text: 'a "quoted" line\r\n', nested: { x: [1, null] } } };
      await bus.publish(stream, event);
      await until(() => expect(got.map((data) => JSON.parse(data) as unknown)).toEqual([event]));
    });

    it("gives every group all events, and each consumer of a group a share", async () => {
      const { bus, stream } = await newBus();
      const [first, second] = [
        consume(bus, { stream, group: "a", consumer: "1" }),
        consume(bus, { stream, group: "a", consumer: "2" }),
      ];
      const other = consume(bus, { stream, group: "b" });
      await Promise.all(numbers(100).map((n) => bus.publish(stream, envelope("k", n))));
      await until(() => expect(other.seen).toEqual(numbers(100)));
      await until(() => expect([...first.seen, ...second.seen].sort((a, b) => a - b)).toEqual(numbers(100)));
    });

    it("begins a group with what is there, and a consumer without a group with what comes", async () => {
      const { bus, stream } = await newBus();
      await bus.publish(stream, envelope("k", 1));
      const lone = consume(bus, { stream });
      const late = consume(bus, { stream, group: "now", from: "now" });
      const all = consume(bus, { stream, from: "oldest" });
      await Promise.all([lone, late, all].map(({ consumption }) => consumption.ready));
      await bus.publish(stream, envelope("k", 2));
      const group = consume(bus, { stream, group: "a" });
      await until(() => expect([lone.seen, late.seen, all.seen, group.seen]).toEqual([[2], [2], [1, 2], [1, 2]]));
    });

    it("goes on where a group left off", async () => {
      const { bus, stream } = await newBus();
      const before = consume(bus, { stream, group: "a" });
      await bus.publish(stream, envelope("k", 1));
      await until(() => expect(before.seen).toEqual([1]));
      await before.consumption.close();
      await bus.publish(stream, envelope("k", 2));
      const after = consume(bus, { stream, group: "a" });
      await until(() => expect(after.seen).toEqual([2]));
      expect(before.seen).toEqual([1]);
    });

    it.each(["the same", "another"])("delivers again what a consumer died with, to %s consumer", async (who) => {
      const { bus, stream } = await newBus();
      const begun: string[] = [];
      const dying = consume(bus, {
        stream,
        group: "a",
        consumer: "dying",
        handle: async ({ entryId }) => {
          begun.push(entryId);
          await new Promise(() => {});
        },
      });
      await Promise.all(numbers(3).map((n) => bus.publish(stream, envelope("k", n))));
      await until(() => expect(begun).toHaveLength(1));
      await dying.consumption.close({ timeoutMs: 10 });
      const next = consume(bus, {
        ...{ stream, group: "a", consumer: who === "another" ? "next" : "dying" },
        // The same one does not wait until it counts as silent.
        claimAfterMs: who === "another" ? 100 : 60_000,
      });
      // Another one may read what was not yet delivered before it takes over what was.
      await until(() => expect(who === "another" ? next.seen.toSorted((a, b) => a - b) : next.seen).toEqual([0, 1, 2]));
    });

    it("delivers an event that failed again, before any later one, and gives it up in the end", async () => {
      const { bus, stream } = await newBus();
      const tried: number[] = [];
      const errors: string[] = [];
      consume(bus, {
        stream,
        group: "a",
        handle: ({ data }) => {
          const { n } = (JSON.parse(data) as EventEnvelope).payload as { n: number };
          tried.push(n);
          if (n === 1 || (n === 2 && tried.filter((each) => each === 2).length < 3)) throw new Error("not now");
        },
        onError: ({ code, message }) => void errors.push(`${code} ${message}`),
      });
      await Promise.all(numbers(4).map((n) => bus.publish(stream, envelope("k", n))));
      await until(() => expect(tried).toEqual([0, 1, 1, 1, 1, 1, 2, 2, 2, 3]));
      expect(errors).toHaveLength(7);
      expect(errors[4]).toMatch(/^event_not_handled Event \S+ of test\.\S+ was not handled, it is given up after 5/);
    });

    it("keeps about so many events, the newest", async () => {
      const { bus, stream } = await newBus();
      await Promise.all(numbers(5 * KEPT).map((n) => bus.publish(stream, envelope("k", n))));
      const { seen } = consume(bus, { stream, group: "a" });
      await until(() => expect(seen.at(-1)).toBe(5 * KEPT - 1));
      expect(seen).toEqual(numbers(seen.length, 5 * KEPT - seen.length));
      expect(seen.length).toBeGreaterThanOrEqual(KEPT);
      // Redis cuts off whole nodes, of 100 entries each.
      expect(seen.length).toBeLessThan(KEPT + 100);
    });

    it("does not let a consumer hold up a publisher", async () => {
      const { bus, stream } = await newBus();
      consume(bus, { stream, group: "a", handle: () => new Promise(() => {}) });
      const outcomes = await Promise.all(numbers(2 * KEPT).map((n) => bus.publish(stream, envelope("k", n))));
      expect(new Set(outcomes)).toEqual(new Set(["success"]));
    });

    it("drops what comes after it was closed", async () => {
      const { bus, stream } = await newBus();
      await bus.close();
      expect(await bus.publish(stream, envelope("k", 1))).toBe("dropped");
      expect(bus.health().connected).toBe(false);
    });
  });
});
