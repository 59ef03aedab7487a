/**
 * The store's voice on the event bus: opens the bus and what publishes on it. For the service, and for programs that run
 * a coordinator of their own; whoever opens it closes it, after its coordinators.
 */
import type { Registry } from "prom-client";
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import type { Logger } from "../telemetry/logger.ts";
import { PulseMetrics } from "../telemetry/pulse-metrics.ts";
import type { EventBus } from "./event-bus.ts";
import { openEventBus } from "./open-event-bus.ts";
import { PulsePublisher } from "./pulse-publisher.ts";
import { DEFAULT_NAMESPACE } from "./pulse-streams.ts";

/** Options of {@link openPulse}. */
export interface PulseOptions {
  /** Where the bus is: within this process, or on Redis. */
  readonly backend: "inmem" | "redis";
  /** redis://[[login]:password@]host[:port][/database]; `redis://localhost:6379/0` unless given. */
  readonly redisUrl?: string;
  /** Begins the names of the streams; `mdp` unless given. */
  readonly namespace?: string;
  /** Track that events name; `v1` unless given. */
  readonly track?: string;
  /** Where its metrics are added; none are kept unless given. */
  readonly registry?: Registry;
  readonly log?: Pick<Logger, "info" | "warn">;
}

/** An open bus with its publisher. */
export interface Pulse {
  /** Subscribe it to a FeedbackBus. */
  readonly publisher: PulsePublisher;
  /** For subscribers within this process. */
  readonly bus: EventBus;
  /** Sends what waits, for 2 s at most, and ends. */
  close(): Promise<void>;
}

const OPTIONS = fieldsOf<PulseOptions>({
  backend: true,
  redisUrl: true,
  namespace: true,
  track: true,
  registry: true,
  log: true,
});
const BACKENDS: readonly PulseOptions["backend"][] = ["inmem", "redis"];
const QUIET = { info: () => undefined, warn: () => undefined };

/**
 * Opens it; a server that is away is waited for, and what is published meanwhile is kept within bounds.
 * @throws StoreError `usage`; `packages_missing` when the bus is on Redis and its package is not installed.
 */
export async function openPulse(options: PulseOptions): Promise<Pulse> {
  requireFields("openPulse", options, OPTIONS);
  const { backend, redisUrl = "redis://localhost:6379/0", log = QUIET, registry } = options;
  const { namespace = DEFAULT_NAMESPACE, track = "v1" } = options;
  if (!BACKENDS.includes(backend)) throw new StoreError("usage", `backend must be one of ${BACKENDS.join(", ")}.`);
  const bus = await openEventBus({ backend, redisUrl, log });
  const metrics = registry && new PulseMetrics(registry);
  const publisher = new PulsePublisher({ bus, namespace, track, ...(metrics && { metrics }) });
  return { bus, publisher, close: () => bus.close() };
}
