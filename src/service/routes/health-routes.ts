/** `/health`, `/healthz`, `/livez`, `/readyz`: what the monitor found last, sent as it lies there. Nothing is asked. */
import type { FastifyInstance, FastifyReply } from "fastify";
import type { HealthSnapshot } from "../health-monitor.ts";

const JSON_TYPE = "application/json; charset=utf-8";

/** Adds the routes. */
export function addHealthRoutes(app: FastifyInstance, health: { readonly current: HealthSnapshot }): void {
  const send = (reply: FastifyReply, snapshot: HealthSnapshot, well: boolean): void => {
    reply
      .code(well ? 200 : 503)
      .header("content-type", JSON_TYPE)
      .send(snapshot.body);
  };
  for (const path of ["/health", "/healthz"]) {
    app.get(path, (_request, reply) => {
      const snapshot = health.current;
      send(reply, snapshot, snapshot.status.state !== "unhealthy");
    });
  }
  app.get("/readyz", (_request, reply) => {
    const snapshot = health.current;
    send(reply, snapshot, snapshot.ready);
  });
  app.get("/livez", (_request, reply) => {
    reply.header("content-type", JSON_TYPE).send('{"status":"alive"}');
  });
}
