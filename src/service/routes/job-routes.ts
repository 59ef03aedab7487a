/** `/jobs`, `/jobs/{id}`, `…/cancel`, `…/retry`: jobs as the queue tells them. */
import type { FastifyInstance, onRequestHookHandler } from "fastify";
import { ENDPOINTS } from "../../control/endpoints.ts";
import type { JobFilter } from "../../jobs/job-queue.ts";
import type { AdminParts } from "../accept-job.ts";
import { addAdminEndpoint } from "../add-endpoint.ts";

/** Adds the routes. */
export function addJobRoutes(
  app: FastifyInstance,
  guard: onRequestHookHandler,
  { jobs }: Pick<AdminParts, "jobs">,
): void {
  addAdminEndpoint(app, guard, ENDPOINTS.listJobs, async ({ query: { name, state, limit }, signal }) => {
    const filter: JobFilter = { limit, ...(name !== undefined && { name }), ...(state !== undefined && { state }) };
    return { jobs: await jobs().list(filter, signal) };
  });
  addAdminEndpoint(app, guard, ENDPOINTS.getJob, ({ params, signal }) => jobs().get(params.id, signal));
  addAdminEndpoint(app, guard, ENDPOINTS.cancelJob, ({ params, signal }) => jobs().cancel(params.id, signal));
  addAdminEndpoint(app, guard, ENDPOINTS.retryJob, ({ params, signal }) => jobs().retry(params.id, signal));
}
