/** The components that this version of the service has: the database, its migrations, and the registry of metrics. */

import type { SchemaVersion } from "../contracts/schema-version.ts";
import { StoreError } from "../errors/store-error.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import type { ComponentReport, HealthProbe } from "./health-monitor.ts";
import type { ServiceDatabase } from "./service-database.ts";
import type { MigrationProgress } from "./start-migration.ts";

const HEALTHY: ComponentReport = { state: "healthy" };

/** Healthy while the database answers. */
export function databaseProbe(database: Pick<ServiceDatabase, "ping">): HealthProbe {
  return {
    name: "database",
    neededForReady: true,
    async check(signal) {
      await database.ping(signal);
      return HEALTHY;
    },
  };
}

/** Healthy while the registry renders. Rendering resets gauges that cover the time between scrapes, so only scrapes do it. */
export function prometheusProbe(metrics: Pick<StoreMetrics, "lastRender" | "render">): HealthProbe {
  return {
    name: "prometheus",
    neededForReady: false,
    async check() {
      if (metrics.lastRender !== "ok") await metrics.render();
      return HEALTHY;
    },
  };
}

/**
 * Healthy while nothing is pending and no applied migration was altered. While the database is away its schema is not
 * known: what was found last stays.
 */
export function migrationsProbe(
  database: Pick<ServiceDatabase, "schemaVersion">,
  progress: () => MigrationProgress,
): HealthProbe {
  let last: ComponentReport | undefined;
  return {
    name: "migrations",
    neededForReady: true,
    async check(signal) {
      try {
        last = judge(await database.schemaVersion(signal), progress());
        return last;
      } catch (error) {
        return last ?? unknown(progress(), error);
      }
    },
  };
}

function judge(schema: SchemaVersion, progress: MigrationProgress): ComponentReport {
  const details = { version: String(schema.version), pending: String(schema.pending) };
  if (!schema.checksum_ok) return { state: "unhealthy", details: { ...details, code: "migration_altered" } };
  // A failed migration is over when somebody else has applied it.
  if (schema.pending === 0 && progress.kind !== "waiting") return { state: "healthy", details };
  if (progress.kind === "failed") return { state: "unhealthy", details: { ...details, code: progress.code } };
  return { state: "degraded", details: { ...details, code: "migration_pending" } };
}

function unknown(progress: MigrationProgress, error: unknown): ComponentReport {
  if (progress.kind === "failed") return { state: "unhealthy", details: { code: progress.code } };
  return { state: "degraded", details: { code: error instanceof StoreError ? error.code : "internal" } };
}
