/**
 * Tells the platform what the store has to say: feedback of its coordinators and drift of its contracts, each in an
 * envelope on its stream. A payload holds the contract's fields and nothing else. Publishing never waits and never throws.
 */
import { randomUUID } from "node:crypto";
import type { EventEnvelope } from "../contracts/event-envelope.ts";
import type { FeedbackEvent } from "../contracts/feedback-event.ts";
import type { SchemaDrift } from "../contracts/schema-drift.ts";
import type { PulseMetrics } from "../telemetry/pulse-metrics.ts";
import type { EventBus } from "./event-bus.ts";
import type { Feedback, FeedbackSubscriber } from "./feedback-bus.ts";
import { type PulseStream, SCHEMA_OF_STREAM, streamName } from "./pulse-streams.ts";

interface PulsePublisherOptions {
  readonly bus: Pick<EventBus, "publish">;
  /** Begins the names of the streams. */
  readonly namespace: string;
  /** Track of the payloads' schemas. */
  readonly track: string;
  readonly metrics?: PulseMetrics;
}

/** A subscriber of the feedback bus. */
export class PulsePublisher implements FeedbackSubscriber {
  readonly name = "pulse";
  readonly #options: PulsePublisherOptions;

  constructor(options: PulsePublisherOptions) {
    this.#options = options;
  }

  /** Publishes feedback. */
  deliver(feedback: Feedback): void {
    const { coordinator_id, queue_size, capacity, level, source, ts, reason, utilization } = feedback;
    const payload: FeedbackEvent = { coordinator_id, queue_size, capacity, level, source, ts };
    this.#publish("telemetry.feedback", coordinator_id, payload, { reason, utilization: utilization.toFixed(6) });
  }

  /** Publishes that a contract and the registry's differ. */
  publishDrift(drift: SchemaDrift): void {
    this.#publish("telemetry.schema_drift", drift.schema, drift, {});
  }

  #publish(stream: PulseStream, key: string, payload: object, headers: Readonly<Record<string, string>>): void {
    const { bus, namespace, track, metrics } = this.#options;
    const event: EventEnvelope = {
      id: randomUUID(),
      key,
      ts: Date.now() / 1_000,
      meta: { schema_id: SCHEMA_OF_STREAM[stream], track, headers },
      payload: payload as EventEnvelope["payload"],
    };
    const name = streamName(namespace, stream);
    const begunAt = performance.now();
    void bus.publish(name, event).then((outcome) => {
      metrics?.countPublished(name, track, outcome, performance.now() - begunAt);
    });
  }
}
