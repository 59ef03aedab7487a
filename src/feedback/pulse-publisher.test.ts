import { describe, expect, it, vi } from "vitest";
import { eventEnvelope } from "../contracts/event-envelope.ts";
import { StoreMetrics } from "../telemetry/metrics.ts";
import { PulseMetrics } from "../telemetry/pulse-metrics.ts";
import type { Delivery } from "./event-bus.ts";
import { MemoryBus } from "./memory-bus.ts";
import { PulsePublisher } from "./pulse-publisher.ts";
import { createPulseSubscriber, type PulseEvent } from "./pulse-subscriber.ts";

const feedback = {
  coordinator_id: "bars-coord",
  queue_size: 80,
  capacity: 100,
  level: "soft",
  source: "store",
  ts: 1_729_234_567.123,
  reason: "queue_high_watermark",
  utilization: 0.8,
} as const;
const drift = {
  repo: "market-data-store",
  schema: "telemetry.FeedbackEvent",
  track: "v1",
  local_sha256: "a".repeat(64),
  local_version: "0.5.0",
  registry_sha256: "b".repeat(64),
  registry_version: "2",
  detected_at: 1_729_234_567,
  change: "breaking",
} as const;

function pulse() {
  const bus = new MemoryBus();
  const metrics = new StoreMetrics();
  const pulseMetrics = new PulseMetrics(metrics.registry);
  const publisher = new PulsePublisher({ bus, namespace: "mdp", track: "v1", metrics: pulseMetrics });
  return { bus, metrics, publisher };
}

async function deliveries(bus: MemoryBus, stream: string, count: number): Promise<Delivery[]> {
  const got: Delivery[] = [];
  const consumption = bus.consume({ stream, from: "oldest", handle: (delivery) => void got.push(delivery) });
  await vi.waitFor(() => expect(got).toHaveLength(count));
  await consumption.close();
  return got;
}

describe("PulsePublisher", () => {
  it("R36 puts feedback into an envelope: the contract's fields in the payload, the store's own in the headers", async () => {
    const { bus, publisher } = pulse();
    publisher.deliver(feedback);
    const [delivery] = await deliveries(bus, "mdp.telemetry.feedback", 1);
    const { reason, utilization: _, ...payload } = feedback;
    expect(JSON.parse(delivery!.data)).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4/),
      key: "bars-coord",
      ts: expect.closeTo(Date.now() / 1_000, -1),
      meta: { schema_id: "telemetry.FeedbackEvent", track: "v1", headers: { reason, utilization: "0.800000" } },
      payload,
    });
    expect(eventEnvelope.safeParse(JSON.parse(delivery!.data)).success).toBe(true);
  });

  it("R36 publishes drift under the schema's name", async () => {
    const { bus, publisher } = pulse();
    publisher.publishDrift(drift);
    const [delivery] = await deliveries(bus, "mdp.telemetry.schema_drift", 1);
    expect(JSON.parse(delivery!.data)).toMatchObject({
      key: "telemetry.FeedbackEvent",
      meta: { schema_id: "telemetry.schema_drift", headers: {} },
      payload: drift,
    });
  });

  it("counts what became of each event", async () => {
    const { bus, metrics, publisher } = pulse();
    publisher.deliver(feedback);
    await bus.close();
    publisher.deliver(feedback);
    await vi.waitFor(async () => {
      const text = await new Promise<string>((resolve) => resolve(metrics.registry.metrics()));
      const stream = 'stream="mdp.telemetry.feedback",track="v1"';
      expect(text).toContain(`pulse_publish_total{${stream},outcome="success"} 1`);
      expect(text).toContain(`pulse_publish_total{${stream},outcome="dropped"} 1`);
      expect(text).toContain(`pulse_publish_latency_ms_count{${stream}} 1`);
    });
  });
});

describe("createPulseSubscriber", () => {
  it("hands on what its contract allows, and skips and tells the rest", async () => {
    const { bus, publisher } = pulse();
    const events: PulseEvent<"telemetry.feedback">[] = [];
    const errors: string[] = [];
    const subscriber = await createPulseSubscriber({
      bus,
      stream: "telemetry.feedback",
      group: "pipeline",
      onEvent: (event) => void events.push(event),
      onError: ({ code, message }) => void errors.push(`${code}: ${message}`),
    });
    const envelope = {
      id: "1",
      key: "k",
      ts: 1,
      meta: { schema_id: "other.Event", track: "v1", headers: {} },
      payload: {},
    };
    const stream = "mdp.telemetry.feedback";
    await bus.publish(stream, envelope);
    await bus.publish(stream, { ...envelope, meta: { ...envelope.meta, schema_id: "telemetry.FeedbackEvent" } });
    await bus.publish(stream, { ...envelope, id: "" });
    publisher.deliver(feedback);
    const { reason, utilization: _, ...payload } = feedback;
    await vi.waitFor(() =>
      expect(events).toMatchObject([{ key: "bars-coord", track: "v1", payload, headers: { reason } }]),
    );
    expect(errors).toEqual([
      expect.stringMatching(
        /^event_invalid: Event \S+ of telemetry\.feedback was skipped: its payload is no telemetry.FeedbackEvent \(coordinator_id: /,
      ),
      expect.stringMatching(/was skipped: it is no envelope \(id: /),
    ]);
    await subscriber.close();
  });

  it("wants to be told where to listen", async () => {
    const listening = createPulseSubscriber({ stream: "telemetry.feedback", onEvent: () => undefined });
    await expect(listening).rejects.toMatchObject({ code: "usage" });
  });
});
