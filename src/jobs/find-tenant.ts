/** Finds the tenant that a job's input names. */
import { type AdminScope, listTenants } from "../database/tenants.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { StoreError } from "../errors/store-error.ts";

/** Its id. @throws StoreError `tenant_unknown`. */
export async function findTenant(scope: AdminScope, slugOrId: string, signal?: AbortSignal): Promise<string> {
  const tenants = await listTenants(scope, signal);
  const found = tenants.find(({ id, slug }) => slug === slugOrId || id === slugOrId);
  if (found !== undefined) return found.id;
  throw new StoreError(
    "tenant_unknown",
    `There is no tenant ${showValue(slugOrId)}; \`mds tenant list\` shows those there are.`,
  );
}
