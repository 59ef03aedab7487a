/**
 * What ties the service to its platform: the event bus, which carries feedback and drift, and the schema registry with
 * which it compares its contracts. Each may be away or switched off; the service goes on without.
 */
import type { Config } from "../config/settings.ts";
import { packageVersion } from "../config/version.ts";
import { clearDrift, noteDrift } from "../database/drift-state.ts";
import type { EventBus } from "../feedback/event-bus.ts";
import type { FeedbackBus } from "../feedback/feedback-bus.ts";
import { openPulse, type Pulse } from "../feedback/open-pulse.ts";
import type { PulsePublisher } from "../feedback/pulse-publisher.ts";
import { settledWithin } from "../feedback/settled-within.ts";
import type { DriftLedger, DriftReporter } from "../registry/drift-reporter.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import type { HealthProbe } from "./health-monitor.ts";
import type { ServiceDatabase } from "./service-database.ts";

export type PlatformConfig = Pick<
  Config,
  | "pulseEnabled"
  | "eventBusBackend"
  | "redisUrl"
  | "pulseNamespace"
  | "schemaTrack"
  | "registryUrl"
  | "registryTrack"
  | "driftIntervalMs"
>;

interface PlatformOptions {
  /** Without it neither part is there. */
  readonly config: PlatformConfig | undefined;
  readonly database: Pick<ServiceDatabase, "admin">;
  readonly log: Logger;
  readonly metrics: StoreMetrics;
  /** What coordinators say on it goes to the event bus. */
  readonly feedback?: FeedbackBus | undefined;
}

/** The parts that are switched on. */
export interface Platform {
  readonly probes: readonly HealthProbe[];
  /** Begins to compare contracts. */
  start(): void;
  /** Ends the comparison and sends what the bus still holds, within 2 s. After coordinators, before the database. */
  stop(): Promise<void>;
}

/** Handing feedback on takes a turn of the event loop; only a slow webhook takes longer, and that is not waited for. */
const FEEDBACK_DRAIN_MS = 200;

const NOTHING: Platform = { probes: [], start: () => undefined, stop: () => Promise.resolve() };

/** @throws StoreError `packages_missing` when the event bus is on Redis and its package is not installed. */
export async function openPlatform(options: PlatformOptions): Promise<Platform> {
  const { config, feedback } = options;
  if (config === undefined) return NOTHING;
  const pulse = config.pulseEnabled ? await openServicePulse(config, options) : undefined;
  if (pulse !== undefined) feedback?.subscribe(pulse.publisher);
  const drift = config.registryUrl === undefined ? undefined : await openDrift(config, options, pulse?.publisher);
  return {
    probes: [...(pulse ? [pulseProbe(pulse.bus)] : []), ...(drift ? [registryProbe(drift)] : [])],
    start: () => drift?.start(),
    stop: async () => {
      await drift?.stop();
      if (feedback !== undefined) await settledWithin(feedback.drained(), FEEDBACK_DRAIN_MS);
      await pulse?.close();
    },
  };
}

function openServicePulse(config: PlatformConfig, { log, metrics }: PlatformOptions): Promise<Pulse> {
  const { eventBusBackend, redisUrl, pulseNamespace, schemaTrack } = config;
  return openPulse({
    ...{ backend: eventBusBackend, redisUrl, namespace: pulseNamespace, track: schemaTrack },
    registry: metrics.registry,
    log,
  });
}

async function openDrift(
  { registryUrl, registryTrack, schemaTrack, driftIntervalMs }: PlatformConfig,
  { database, log, metrics }: PlatformOptions,
  publisher: PulsePublisher | undefined,
): Promise<DriftReporter> {
  // Loaded where there is a registry only.
  const [{ DriftReporter }, { HttpRegistry }, { readLocalSchemas }, { DriftMetrics }] = await Promise.all([
    import("../registry/drift-reporter.ts"),
    import("../registry/http-registry.ts"),
    import("../registry/local-schemas.ts"),
    import("../telemetry/drift-metrics.ts"),
  ]);
  return new DriftReporter({
    registry: new HttpRegistry({ url: registryUrl! }),
    schemas: await readLocalSchemas(),
    track: registryTrack ?? schemaTrack,
    version: packageVersion(),
    intervalMs: driftIntervalMs,
    metrics: new DriftMetrics(metrics.registry),
    ledger: ledgerOf(database),
    onDrift: (drift) => publisher?.publishDrift(drift),
    log,
  });
}

function ledgerOf(database: Pick<ServiceDatabase, "admin">): DriftLedger {
  return {
    note: async (drift, signal) => noteDrift(await database.admin(signal), drift, signal),
    clear: async (drift, signal) => clearDrift(await database.admin(signal), drift, signal),
  };
}

/** Degraded while the bus's server is away. */
function pulseProbe(bus: EventBus): HealthProbe {
  return {
    name: "pulse",
    neededForReady: false,
    check: () => {
      const { connected, buffered, dropped } = bus.health();
      const details = { backend: bus.backend, buffered: String(buffered), dropped: String(dropped) };
      if (connected) return Promise.resolve({ state: "healthy", details });
      return Promise.resolve({ state: "degraded", details: { ...details, code: "bus_unavailable" } });
    },
  };
}

function registryProbe(drift: DriftReporter): HealthProbe {
  return {
    name: "registry",
    neededForReady: false,
    check: () => Promise.resolve(drift.health()),
  };
}
