/** `/backfill/{job}`: makes a job of any definition whose mode is backfill, users' own too. */
import type { FastifyInstance, onRequestHookHandler } from "fastify";
import { ENDPOINTS } from "../../control/endpoints.ts";
import { StoreError } from "../../errors/store-error.ts";
import { parseInput } from "../../jobs/parse-input.ts";
import { type AdminParts, acceptJob } from "../accept-job.ts";
import { addAdminEndpoint } from "../add-endpoint.ts";

/** Adds the route. */
export function addBackfillRoutes(app: FastifyInstance, guard: onRequestHookHandler, parts: AdminParts): void {
  addAdminEndpoint(app, guard, ENDPOINTS.backfill, async (call) => {
    const { job } = call.params;
    const backfills = [...parts.jobs().definitions.values()].filter(({ mode }) => mode === "backfill");
    const definition = backfills.find(({ name }) => name === job);
    if (definition === undefined) {
      const known = backfills.map(({ name }) => name).sort();
      throw new StoreError("job_unknown", `There is no backfill of this name; there are ${known.join(", ")}.`, {
        details: { known },
      });
    }
    // Before the key is claimed: a body that is refused must not use it up.
    await parseInput(definition, call.body);
    return acceptJob(parts, call, job, call.body);
  });
}
