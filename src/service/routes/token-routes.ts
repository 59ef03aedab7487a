/** `/tenants/{tenant}/tokens`: ingest tokens made, listed and revoked. */
import type { FastifyInstance, onRequestHookHandler } from "fastify";
import { ENDPOINTS } from "../../control/endpoints.ts";
import { createIngestToken, listIngestTokens, revokeIngestToken } from "../../database/ingest-tokens.ts";
import type { AdminParts } from "../accept-job.ts";
import { addAdminEndpoint } from "../add-endpoint.ts";

/** Adds the routes. */
export function addTokenRoutes(
  app: FastifyInstance,
  guard: onRequestHookHandler,
  { database }: Pick<AdminParts, "database">,
): void {
  addAdminEndpoint(app, guard, ENDPOINTS.listTokens, async ({ params, signal }) => ({
    tokens: await listIngestTokens(await database.admin(signal), params.tenant, signal),
  }));
  addAdminEndpoint(app, guard, ENDPOINTS.createToken, async ({ params, body, reply, signal }) => {
    // The secret belongs to whoever asked, and to no cache in between.
    reply.header("cache-control", "no-store");
    return createIngestToken(await database.admin(signal), params.tenant, body.name, signal);
  });
  addAdminEndpoint(app, guard, ENDPOINTS.revokeToken, async ({ params, signal }) => {
    await revokeIngestToken(await database.admin(signal), params.tenant, params.id, signal);
    return undefined;
  });
}
