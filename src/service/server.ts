/**
 * Composes the service and runs it. It listens at once and becomes ready in the open: until the database is there and
 * migrated, it says that it is degraded. It stops by finishing what it began, within a time.
 */
import { lookup } from "node:dns/promises";
import type { AddressInfo } from "node:net";
import { constants } from "node:os";
import type { FastifyInstance } from "fastify";
import type { Config } from "../config/settings.ts";
import { packageVersion } from "../config/version.ts";
import { StoreError } from "../errors/store-error.ts";
import { optimizeWhenBusy } from "../resilience/optimizing-compilers.ts";
import { withDeadline } from "../resilience/with-deadline.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import { createApp } from "./app.ts";
import { HealthMonitor, type HealthSnapshot } from "./health-monitor.ts";
import { databaseProbe, migrationsProbe, prometheusProbe } from "./health-probes.ts";
import { openPlatform, type Platform, type PlatformConfig } from "./platform.ts";
import type { ServiceDatabase } from "./service-database.ts";
import type { ServiceIngest } from "./service-ingest.ts";
import { jobsProbe, type ServiceJobs, startJobs } from "./start-jobs.ts";
import { type MigrationProgress, startMigration } from "./start-migration.ts";

/** The part of the time for stopping that requests may take; the rest is for closing the database. */
const REQUESTS_SHARE = 0.8;
/** The part of that time after which bodies under way are answered with what is accepted of them. */
const BODIES_SHARE = 0.5;
/** The part of the rest that writing accepted rows may take; a write that is told to end takes up to 2 s more. */
const DRAIN_SHARE = 0.5;
/** Under npm both the terminal and npm send Ctrl-C on; what comes so soon after the first is the same wish. */
const SAME_SIGNAL_MS = 500;
/** A connection that falls idle while stopping is closed within this time, instead of after its keep-alive time. */
const IDLE_SWEEP_MS = 50;

/** What the service is made of. It owns `database` from then on, and closes it. */
export interface ServiceOptions {
  readonly config: Pick<Config, "host" | "port" | "migrateOnStart" | "shutdownTimeoutMs">;
  readonly database: ServiceDatabase;
  /** Bearer token of the admin routes, which are off without one. */
  readonly adminToken?: string | undefined;
  /** The job runner, which the service starts and stops; the admin routes make jobs with it. */
  readonly jobs?: ServiceJobs | undefined;
  /** Event bus and schema registry; without it the service has neither. */
  readonly platform?: PlatformConfig | undefined;
  /** Takes rows over HTTP; started and stopped with the service. */
  readonly ingest?: ServiceIngest | undefined;
  readonly log: Logger;
  readonly metrics: StoreMetrics;
  /** Called once, when the service is ready for the first time. */
  readonly onReady?: (url: string) => void;
}

/** A service that listens. */
export interface RunningService {
  /** Where it listens, e.g. `http://127.0.0.1:8082`. */
  readonly url: string;
  /** Stops it within `shutdownTimeoutMs`: not ready, no new connections, requests finished, database closed. */
  stop(): Promise<void>;
}

/**
 * Runs the service until SIGTERM, SIGINT or an unhandled error, and gives the process's exit code: 0 after a signal,
 * 1 after an error. The caller ends the process with it. A second signal ends the process at once.
 * @throws StoreError `listen_failed` when it cannot listen.
 */
export async function runService(options: ServiceOptions): Promise<number> {
  const { log } = options;
  const ending = Promise.withResolvers<void>();
  let stoppingSince: number | undefined;
  let exitCode = 0;
  const onSignal = (signal: "SIGTERM" | "SIGINT"): void => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(128 + constants.signals[signal]);
      return;
    }
    stoppingSince = performance.now();
    log.info({ signal }, "Stopping; a second signal ends the process at once.");
    ending.resolve();
  };
  const onError = (err: Error): void => {
    log.fatal({ err }, "An unhandled error ends the service.");
    exitCode = 1;
    ending.resolve();
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal).on("uncaughtException", onError);
  const endWatch = optimizeWhenBusy();
  try {
    options.metrics.watchProcess();
    const service = await startService(options);
    await ending.promise;
    await service.stop();
    return exitCode;
  } finally {
    endWatch();
    process.off("SIGTERM", onSignal).off("SIGINT", onSignal).off("uncaughtException", onError);
  }
}

/**
 * Starts the service without touching the process's signals.
 * @throws StoreError `listen_failed` when it cannot listen; the database is closed then.
 */
export async function startService(options: ServiceOptions): Promise<RunningService> {
  const { config, database, log, metrics, adminToken, jobs, ingest } = options;
  const ending = new AbortController();
  let progress: MigrationProgress = { kind: config.migrateOnStart ? "waiting" : "done" };
  let url = "";
  let wasReady = false;
  const platform = await openPlatform({
    config: options.platform,
    feedback: ingest?.feedback,
    ...{ database, log, metrics },
  }).catch(async (error) => {
    await database.close();
    throw error;
  });
  const health = new HealthMonitor({
    version: packageVersion(),
    probes: [
      databaseProbe(database),
      migrationsProbe(database, () => progress),
      prometheusProbe(metrics),
      ...(jobs === undefined ? [] : [jobsProbe(jobs)]),
      ...platform.probes,
      ...(ingest === undefined ? [] : [ingest.probe]),
    ],
    onChange: (snapshot) => {
      metrics.setUp(snapshot.ready);
      if (!ending.signal.aborted) logChange(log, snapshot);
      if (snapshot.ready && !wasReady) options.onReady?.(url);
      wasReady ||= snapshot.ready;
    },
  });
  const app = createApp({ log, metrics, health, database, adminToken, jobs, ingest });
  metrics.watchPool(() => database.poolCounts());
  url = await listen(app, options, platform);
  log.info({ url }, "Listening.");

  const onProgress = (next: MigrationProgress): void => {
    progress = next;
    if (next.kind !== "waiting") void health.refresh();
  };
  const onApplied = (applied: number): void => metrics.countMigrations(applied);
  const migrated = config.migrateOnStart
    ? startMigration({ database, log, signal: ending.signal, onProgress, onApplied })
    : Promise.resolve();
  const started = jobs === undefined ? migrated : migrated.then(() => startJobs(jobs, log, ending.signal));
  health.start();
  platform.start();
  ingest?.start();

  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    ending.abort();
    stopped ??= stopParts({
      ...{ app, health, started, platform, database, jobs, ingest, log },
      timeoutMs: config.shutdownTimeoutMs,
    });
    return stopped;
  };
  return { url, stop };
}

async function listen(app: FastifyInstance, { config, database }: ServiceOptions, platform: Platform): Promise<string> {
  const { host, port } = config;
  try {
    // One address: the framework would open a second server for `localhost`, which stopping does not reach.
    const { address } = await lookup(host, { order: "ipv4first" });
    await app.listen({ host: address, port });
  } catch (cause) {
    await Promise.allSettled([app.close(), platform.stop(), database.close()]);
    throw listenFailed(host, port, cause as NodeJS.ErrnoException);
  }
  const { port: actual } = app.server.address() as AddressInfo;
  return `http://${host.includes(":") ? `[${host}]` : host}:${actual}`;
}

function listenFailed(host: string, port: number, cause: NodeJS.ErrnoException): StoreError {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `Port ${port} on ${host} is in use by another process; stop that one or set PORT to another port.`,
    EACCES: `This user may not listen on port ${port}; set PORT to one above 1023.`,
    EADDRNOTAVAIL: `${host} is no address of this machine; set HOST to one of its own, or to 0.0.0.0 for all.`,
    ENOTFOUND: `The host name ${host} is not known; set HOST to an address of this machine, or to 0.0.0.0 for all.`,
  };
  const message = reasons[cause.code ?? ""] ?? `The service cannot listen on ${host}:${port}: ${cause.message}.`;
  return new StoreError("listen_failed", message, { cause, details: { host, port } });
}

function logChange(log: Logger, { status, ready }: HealthSnapshot): void {
  const { state, components } = status;
  const level = { healthy: "info", degraded: "warn", unhealthy: "error" } as const;
  const failing = components
    .filter((component) => component.state !== "healthy")
    .map(({ name, details }) => `${name} (${details?.["code"] ?? details?.["reason"] ?? "no details"})`);
  const because = failing.length === 0 ? "" : `: ${failing.join(", ")}`;
  log[level[state]](
    { state, ready, components },
    `The store is ${state} and ${ready ? "ready" : "not ready"}${because}.`,
  );
}

interface Parts {
  readonly app: FastifyInstance;
  readonly health: HealthMonitor;
  /** The migration, and then the start of the job runner. */
  readonly started: Promise<void>;
  readonly platform: Platform;
  readonly database: ServiceDatabase;
  readonly jobs: ServiceJobs | undefined;
  readonly ingest: ServiceIngest | undefined;
  readonly log: Logger;
  readonly timeoutMs: number;
}

async function stopParts(parts: Parts): Promise<void> {
  const { app, health, started, platform, database, jobs, ingest, log, timeoutMs } = parts;
  const startedAt = performance.now();
  const requestsMs = timeoutMs * REQUESTS_SHARE;
  health.beginStopping();
  const endBodies = setTimeout(() => ingest?.beginStopping(), requestsMs * BODIES_SHARE);
  await Promise.all([
    finishRequests(app, requestsMs, log),
    inTime("The health check", health.stop(), requestsMs, log),
    inTime("The start", started, requestsMs, log),
    ...(jobs === undefined ? [] : [inTime("The job runner", jobs.stop({ timeoutMs: requestsMs }), requestsMs, log)]),
  ]);
  clearTimeout(endBodies);
  const rest = (): number => Math.max(0, timeoutMs - (performance.now() - startedAt));
  // After the requests, whose rows it holds.
  if (ingest !== undefined) {
    await inTime("Ingestion", ingest.stop({ timeoutMs: rest() * DRAIN_SHARE }), rest(), log);
  }
  // After ingestion, which may have something to tell.
  await inTime("The event bus", platform.stop(), rest() / 2, log);
  await inTime("The database", database.close(), rest(), log);
  log.info("Stopped.");
}

/** Stops listening and lets the requests under way finish; what is left after the time is cut off. */
async function finishRequests(app: FastifyInstance, timeoutMs: number, log: Logger): Promise<void> {
  const sweep = setInterval(() => app.server.closeIdleConnections(), IDLE_SWEEP_MS);
  const cut = setTimeout(() => {
    log.warn(`Requests that were not finished after ${timeoutMs} ms are cut off.`);
    app.server.closeAllConnections();
  }, timeoutMs);
  try {
    await app.close();
  } finally {
    clearInterval(sweep);
    clearTimeout(cut);
  }
}

/** Waits for a part to end, but not longer than the time; a part that fails to end is told and left behind. */
async function inTime(part: string, ended: Promise<void>, timeoutMs: number, log: Logger): Promise<void> {
  try {
    await withDeadline(timeoutMs, () => ended);
  } catch (err) {
    log.warn({ err }, `${part} did not end well.`);
  }
}
