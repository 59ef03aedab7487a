/** `delete-tenant`: deletes a tenant with everything of it. Goes on where it was; a second run of a done one does nothing. */

import { type DeletedTenant, deleteTenant } from "../database/delete-tenant.ts";
import { StoreError } from "../errors/store-error.ts";
import { defineJob } from "./define-job.ts";

/** The tenant by its id: once it is gone, another one may have its slug. */
interface Checkpoint {
  readonly tenant_id: string;
  readonly slug: string;
  readonly rows: number;
}

export const deleteTenantJob = defineJob({
  name: "delete-tenant",
  description: "Deletes a tenant with everything of it.",
  schema: async () => (await import("../control/job-inputs.ts")).deleteTenantInput,
  // No tenantOf: the tenant's own ledger goes with it, and this run is the system's.
  mode: "maintenance",
  run: async (context) => {
    const { input, checkpoint, signal, admin } = context;
    const before = checkpoint as Checkpoint | undefined | null;
    let rows = before?.rows ?? 0;
    let tenant: DeletedTenant | undefined;
    const save = () => context.saveCheckpoint({ ...tenant!, rows } satisfies Checkpoint);
    try {
      const deleted = await deleteTenant(admin, before?.tenant_id ?? input.tenant, {
        signal,
        onMarked: ({ tenant_id, slug }) => {
          tenant = { tenant_id, slug };
          return save();
        },
        onProgress: async (progress) => {
          rows += progress.rows;
          if (progress.rows > 0) await save();
          await context.report({ message: progress.message, metadata: { deleted_rows: rows } });
        },
      });
      return { tenant_id: deleted.tenant_id, slug: deleted.slug, rows };
    } catch (error) {
      const isGone = error instanceof StoreError && error.code === "tenant_unknown";
      if (!isGone || !before) throw error;
      return { tenant_id: before.tenant_id, slug: before.slug, rows };
    }
  },
});
