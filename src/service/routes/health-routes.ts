/** `/health`, `/healthz`, `/livez`, `/readyz`: what the monitor found last, sent as it lies there. Nothing is asked. */
import type { FastifyInstance, FastifyReply } from "fastify";
import { StoreError } from "../../errors/store-error.ts";
import { refuseUnknownQuery } from "../../http/refuse-unknown-query.ts";
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
  app.get("/readyz", (request, reply) => {
    const snapshot = health.current;
    const purpose = (request.query as { for?: unknown }).for;
    refuseUnknownQuery(request.query, ["for"]);
    if (purpose !== undefined && purpose !== "ingest") {
      throw new StoreError("request_invalid", "The query's field for is not valid: it may be ingest.");
    }
    send(reply, snapshot, purpose === "ingest" ? snapshot.readyForIngest : snapshot.ready);
  });
  app.get("/livez", (_request, reply) => {
    reply.header("content-type", JSON_TYPE).send('{"status":"alive"}');
  });
}
