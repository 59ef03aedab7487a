/** The service's HTTP side: its routes on the common server. It is built from what it shows and listens to nothing. */
import type { FastifyInstance } from "fastify";
import { packageVersion } from "../config/version.ts";
import { findTokenTenant } from "../database/ingest-tokens.ts";
import { StoreError } from "../errors/store-error.ts";
import { bearerGuard } from "../http/bearer-guard.ts";
import { createHttpServer } from "../http/create-http-server.ts";
import type { JobQueue } from "../jobs/job-queue.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import type { AdminParts } from "./accept-job.ts";
import type { HealthSnapshot } from "./health-monitor.ts";
import { ingestGuard } from "./ingest-guard.ts";
import { IngestTokenCache } from "./ingest-token-cache.ts";
import { addBackfillRoutes } from "./routes/backfill-routes.ts";
import { addDocumentRoutes } from "./routes/document-routes.ts";
import { addHealthRoutes } from "./routes/health-routes.ts";
import { addIngestRoutes } from "./routes/ingest-routes.ts";
import { addJobRoutes } from "./routes/job-routes.ts";
import { addMaintenanceRoutes } from "./routes/maintenance-routes.ts";
import { addMetricsRoutes } from "./routes/metrics-routes.ts";
import { addPolicyRoutes } from "./routes/policy-routes.ts";
import { addSchemaRoutes } from "./routes/schema-routes.ts";
import { addTenantRoutes } from "./routes/tenant-routes.ts";
import { addTokenRoutes } from "./routes/token-routes.ts";
import type { ServiceDatabase } from "./service-database.ts";
import type { ServiceIngest } from "./service-ingest.ts";

interface AppOptions {
  readonly log: Logger;
  readonly metrics: StoreMetrics;
  readonly health: { readonly current: HealthSnapshot };
  readonly database: Pick<ServiceDatabase, "schemaVersion" | "admin">;
  /** Without one the admin routes are off. */
  readonly adminToken?: string | undefined;
  /** Without one no route can make or show jobs. */
  readonly jobs?: JobQueue | undefined;
  /** Without one no rows are accepted. */
  readonly ingest?: Pick<ServiceIngest, "admit"> | undefined;
}

/** Makes the app. */
export function createApp({ log, metrics, health, database, adminToken, jobs, ingest }: AppOptions): FastifyInstance {
  const guard = bearerGuard({ token: adminToken, disabled: adminDisabled, log });
  const parts: AdminParts = {
    database,
    jobs: () => {
      if (jobs === undefined) throw new StoreError("jobs_unavailable", "This service runs without a job queue.");
      return jobs;
    },
  };
  const tokens = new IngestTokenCache({
    lookUp: async (token, signal) => findTokenTenant(await database.admin(signal), token, signal),
  });
  return createHttpServer({
    log,
    metrics,
    routes: (app) => {
      addHealthRoutes(app, health);
      addMetricsRoutes(app, metrics);
      addSchemaRoutes(app, database);
      addMaintenanceRoutes(app, guard, parts);
      addBackfillRoutes(app, guard, parts);
      addJobRoutes(app, guard, parts);
      addPolicyRoutes(app, guard, parts);
      addTenantRoutes(app, guard, parts);
      addTokenRoutes(app, guard, parts);
      addIngestRoutes(app, ingestGuard({ tokens, log }), { ingest, metrics, log });
      addDocumentRoutes(app, { jobs, version: packageVersion() });
    },
  });
}

function adminDisabled(): StoreError {
  return new StoreError("admin_disabled", "The admin routes are off: the service was started without ADMIN_TOKEN.");
}
