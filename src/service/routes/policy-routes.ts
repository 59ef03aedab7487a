/** `/policies`: what is kept of each dataset and for how long, shown and changed. */
import type { FastifyInstance, onRequestHookHandler } from "fastify";
import { ENDPOINTS } from "../../control/endpoints.ts";
import { applyPolicies, planPolicies, readPolicies } from "../../database/policies.ts";
import type { AdminParts } from "../accept-job.ts";
import { addAdminEndpoint } from "../add-endpoint.ts";

/** Adds the routes. */
export function addPolicyRoutes(
  app: FastifyInstance,
  guard: onRequestHookHandler,
  { database }: Pick<AdminParts, "database">,
): void {
  addAdminEndpoint(app, guard, ENDPOINTS.listPolicies, async ({ signal }) => ({
    policies: await readPolicies(await database.admin(signal), signal),
  }));
  addAdminEndpoint(app, guard, ENDPOINTS.applyPolicies, async ({ query, body, signal }) => {
    const set = query.dry_run === "true" ? planPolicies : applyPolicies;
    return { changes: await set(await database.admin(signal), body, signal) };
  });
}
