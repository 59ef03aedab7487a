/** The service's HTTP side: its routes on the common server. It is built from what it shows and listens to nothing. */
import type { FastifyInstance } from "fastify";
import { createHttpServer } from "../http/create-http-server.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import type { HealthSnapshot } from "./health-monitor.ts";
import { addHealthRoutes } from "./routes/health-routes.ts";
import { addMetricsRoutes } from "./routes/metrics-routes.ts";
import { addSchemaRoutes } from "./routes/schema-routes.ts";
import type { ServiceDatabase } from "./service-database.ts";

interface AppOptions {
  readonly log: Logger;
  readonly metrics: StoreMetrics;
  readonly health: { readonly current: HealthSnapshot };
  readonly database: Pick<ServiceDatabase, "schemaVersion">;
}

/** Makes the app. */
export function createApp({ log, metrics, health, database }: AppOptions): FastifyInstance {
  return createHttpServer({
    log,
    metrics,
    routes: (app) => {
      addHealthRoutes(app, health);
      addMetricsRoutes(app, metrics);
      addSchemaRoutes(app, database);
    },
  });
}
