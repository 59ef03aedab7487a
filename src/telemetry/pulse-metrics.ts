/** Metrics of publishing on the event bus, in the registry of the process. Streams and tracks come from settings. */
import { Counter, Histogram, type Registry } from "prom-client";

/** From a server on the same machine to one that was away for a minute. */
const LATENCY_MS = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000, 5_000, 30_000, 60_000];

export class PulseMetrics {
  readonly #published: Counter<"stream" | "track" | "outcome">;
  readonly #latency: Histogram<"stream" | "track">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#published = new Counter({
      name: "pulse_publish_total",
      help: "Events given to the event bus, by what became of them: success, failure or dropped.",
      labelNames: ["stream", "track", "outcome"],
      registers,
    });
    this.#latency = new Histogram({
      name: "pulse_publish_latency_ms",
      help: "Time from giving an event to the bus until the bus has it, in milliseconds; of those that it took.",
      labelNames: ["stream", "track"],
      buckets: LATENCY_MS,
      registers,
    });
  }

  countPublished(stream: string, track: string, outcome: "success" | "failure" | "dropped", elapsedMs: number): void {
    this.#published.inc({ stream, track, outcome });
    if (outcome === "success") this.#latency.observe({ stream, track }, elapsedMs);
  }
}
