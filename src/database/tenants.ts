/** Tenants as an administrator sees them: made, listed, renamed; and the seed, which may be repeated. */
import { StoreError } from "../errors/store-error.ts";
import { type RoleScope, runAsRole } from "./session.ts";

export interface Tenant {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly state: "active" | "deleting";
  /** ISO 8601, UTC. */
  readonly created_at: string;
}

/** A pool of a login that is a member of mds_admin. */
export type AdminScope = Omit<RoleScope, "role">;

/** @throws StoreError `tenant_exists`, or `usage` for a slug or a name that is not allowed. */
export async function createTenant(
  scope: AdminScope,
  tenant: { readonly slug: string; readonly name: string },
  signal?: AbortSignal,
): Promise<Tenant> {
  await asAdmin(scope, "select mds.create_tenant($1, $2)", [tenant.slug, tenant.name], tenant.slug, signal);
  return requireTenant(scope, tenant.slug, signal);
}

/** All tenants, by slug. */
export function listTenants(scope: AdminScope, signal?: AbortSignal): Promise<Tenant[]> {
  const text = `select id, slug, name, state, to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at
    from mds.list_tenants()`;
  return runAsRole<Tenant>({ ...scope, role: "mds_admin" }, { text, values: [] }, signal);
}

/** @throws StoreError `tenant_unknown`, `tenant_exists`, or `usage` for a slug or a name that is not allowed. */
export async function renameTenant(
  scope: AdminScope,
  slugOrId: string,
  changes: { readonly slug?: string; readonly name?: string },
  signal?: AbortSignal,
): Promise<Tenant> {
  const values = [slugOrId, changes.slug ?? null, changes.name ?? null];
  const text = "select mds.rename_tenant($1, $2, $3) as found";
  const [row] = await asAdmin<{ found: boolean }>(scope, text, values, changes.slug ?? slugOrId, signal);
  if (row?.found !== true) throw unknownTenant(slugOrId);
  return requireTenant(scope, changes.slug ?? slugOrId, signal);
}

/** Makes what every store has; what is there stays as it is. */
export async function seedStore(scope: AdminScope, signal?: AbortSignal): Promise<void> {
  await runAsRole({ ...scope, role: "mds_admin" }, { text: "select mds.seed()", values: [] }, signal);
}

/** The tenant of this slug or UUID. @throws StoreError `tenant_unknown`. */
export async function requireTenant(scope: AdminScope, slugOrId: string, signal?: AbortSignal): Promise<Tenant> {
  const found = (await listTenants(scope, signal)).find(({ id, slug }) => slug === slugOrId || id === slugOrId);
  if (found === undefined) throw unknownTenant(slugOrId);
  return found;
}

/** For what is told before a deletion is begun, which refuses it too. @throws StoreError `tenant_protected`. */
export function refuseProtected({ slug }: Pick<Tenant, "slug">): void {
  if (slug !== "default") return;
  throw new StoreError(
    "tenant_protected",
    'The tenant "default" is the one that is meant where none is named; rename it first if it is to go.',
  );
}

async function asAdmin<Row>(
  scope: AdminScope,
  text: string,
  values: readonly unknown[],
  slug: string,
  signal?: AbortSignal,
): Promise<Row[]> {
  try {
    return await runAsRole<Row>({ ...scope, role: "mds_admin" }, { text, values }, signal);
  } catch (error) {
    throw error instanceof StoreError ? tenantFault(error, slug) : error;
  }
}

const UNIQUE_VIOLATION = "23505";

function tenantFault(error: StoreError, slug: string): StoreError {
  const { sqlstate, constraint } = error.details;
  if (sqlstate === UNIQUE_VIOLATION) {
    return new StoreError("tenant_exists", `There is a tenant "${slug}" already.`, { cause: error });
  }
  if (constraint === "slug_form") {
    const form = "1 to 63 lower-case letters, digits, - and _, the first one a letter or digit";
    return new StoreError("usage", `"${slug}" is no slug; it must have ${form}.`, { cause: error });
  }
  if (constraint === "name_text") {
    const form = "1 to 200 characters, none of them a control character";
    return new StoreError("usage", `The tenant's name must have ${form}.`, { cause: error });
  }
  return error;
}

/** What is thrown where there is no such tenant. */
export function unknownTenant(slugOrId: string): StoreError {
  return new StoreError("tenant_unknown", `There is no tenant "${slugOrId}"; \`mds tenant list\` shows them.`);
}
