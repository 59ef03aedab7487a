/** `/tenants`, `/tenants/{tenant}`: tenants made, listed, renamed; deleting one is a job. */
import type { FastifyInstance, onRequestHookHandler } from "fastify";
import { ENDPOINTS } from "../../control/endpoints.ts";
import { createTenant, listTenants, refuseProtected, renameTenant, requireTenant } from "../../database/tenants.ts";
import { StoreError } from "../../errors/store-error.ts";
import type { JobQueue } from "../../jobs/job-queue.ts";
import { type AdminParts, accepted, jobIdOf } from "../accept-job.ts";
import { addAdminEndpoint } from "../add-endpoint.ts";

/** Adds the routes. */
export function addTenantRoutes(app: FastifyInstance, guard: onRequestHookHandler, parts: AdminParts): void {
  const { database } = parts;
  addAdminEndpoint(app, guard, ENDPOINTS.listTenants, async ({ signal }) => ({
    tenants: await listTenants(await database.admin(signal), signal),
  }));
  addAdminEndpoint(app, guard, ENDPOINTS.createTenant, async ({ body: { slug, name = slug }, signal }) =>
    createTenant(await database.admin(signal), { slug, name }, signal),
  );
  addAdminEndpoint(app, guard, ENDPOINTS.changeTenant, async ({ params, body: { slug, name }, signal }) => {
    const changes = { ...(slug !== undefined && { slug }), ...(name !== undefined && { name }) };
    return renameTenant(await database.admin(signal), params.tenant, changes, signal);
  });
  addAdminEndpoint(app, guard, ENDPOINTS.deleteTenant, async (call) => {
    const { params, reply, signal } = call;
    const jobs = parts.jobs();
    const id = await jobIdOf(parts, call);
    // A repeated request may come when the tenant is no more.
    if (!(await exists(jobs, id, signal))) {
      // By its id: the slug may be another tenant's when the job runs.
      const tenant = await requireTenant(await database.admin(signal), params.tenant, signal);
      refuseProtected(tenant);
      await jobs.enqueue("delete-tenant", { tenant: tenant.id }, { id, signal });
    }
    return accepted(reply, id);
  });
}

async function exists(jobs: JobQueue, id: string, signal: AbortSignal): Promise<boolean> {
  try {
    await jobs.get(id, signal);
    return true;
  } catch (error) {
    if (error instanceof StoreError && error.code === "job_not_found") return false;
    throw error;
  }
}
