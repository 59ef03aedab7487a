/** `/migrate`, `/retention/apply`, `/refresh/aggregate`: each makes a job of that name, or two. */
import { createHash } from "node:crypto";
import type { FastifyInstance, onRequestHookHandler } from "fastify";
import { ENDPOINTS } from "../../control/endpoints.ts";
import { type AdminParts, accepted, acceptJob, jobIdOf, locationOf } from "../accept-job.ts";
import { addAdminEndpoint } from "../add-endpoint.ts";

/** Adds the routes. */
export function addMaintenanceRoutes(app: FastifyInstance, guard: onRequestHookHandler, parts: AdminParts): void {
  addAdminEndpoint(app, guard, ENDPOINTS.migrate, (call) => acceptJob(parts, call, "migrate", call.body));
  addAdminEndpoint(app, guard, ENDPOINTS.refreshAggregates, (call) =>
    acceptJob(parts, call, "refresh-aggregates", call.body),
  );
  addAdminEndpoint(app, guard, ENDPOINTS.applyRetention, async (call) => {
    const jobs = parts.jobs();
    const id = await jobIdOf(parts, call);
    const both = [
      { job_id: id, name: "retention" },
      { job_id: derivedId(id, "compression"), name: "compression" },
    ];
    for (const one of both) await jobs.enqueue(one.name, call.body, { id: one.job_id, signal: call.signal });
    return { ...accepted(call.reply, id), jobs: both.map((one) => ({ ...one, location: locationOf(one.job_id) })) };
  });
}

/** The same id for the same job each time, so that a repeated request makes no further one. */
function derivedId(id: string, name: string): string {
  const hex = createHash("sha256").update(`${id} ${name}`).digest("hex");
  // Version 8 and the common variant, as RFC 9562 has it for ids of one's own making.
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
