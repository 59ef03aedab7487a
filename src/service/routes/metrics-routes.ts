/** `/metrics`: the process's one registry as Prometheus text, up to a second old. */
import type { FastifyInstance } from "fastify";
import type { StoreMetrics } from "../../telemetry/metrics.ts";

/** Adds the route. */
export function addMetricsRoutes(app: FastifyInstance, metrics: Pick<StoreMetrics, "render" | "contentType">): void {
  app.get("/metrics", async (_request, reply) => {
    const text = await metrics.render();
    return reply.header("content-type", metrics.contentType).send(text);
  });
}
