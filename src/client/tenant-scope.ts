/** Finds a tenant, and the role in which the login may work for it. */
import type { Pool } from "../database/pool.ts";
import { withRetry } from "../database/retry.ts";
import { runAsLogin, type TenantScope } from "../database/session.ts";
import { StoreError } from "../errors/store-error.ts";

/**
 * The tenant of that slug or UUID, or of the login itself.
 * @throws StoreError `tenant_unknown`, and what else a database may say.
 */
export async function tenantScope(
  pool: Pool,
  tenant: string | undefined,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<TenantScope> {
  const statement = {
    text: "select tenant_id, current_user = 'mds_app' as writes from mds.session_tenant($1)",
    values: [tenant ?? null],
  };
  const rows = await withRetry(
    () => runAsLogin<{ tenant_id: string; writes: boolean }>({ pool, timeoutMs }, statement, signal),
    signal,
  );
  const [found] = rows;
  if (found === undefined) {
    throw new StoreError(
      "tenant_unknown",
      tenant === undefined
        ? 'This login has no tenant: it is bound to none, and there is no tenant "default"; `mds tenant list` shows them.'
        : `There is no tenant "${tenant}"; make it with \`mds tenant create ${tenant}\`.`,
    );
  }
  return { pool, role: found.writes ? "mds_app" : "none", tenantId: found.tenant_id, timeoutMs };
}
