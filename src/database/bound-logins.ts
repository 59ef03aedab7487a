/**
 * Logins that are bound to one tenant, for people and their tools: made readers of it, listed and let go. A bound login
 * has its tenant whatever it sets. Who could act as a role that sees more than one tenant is refused.
 */
import type pg from "pg";
import { StoreError } from "../errors/store-error.ts";
import { identifier } from "./identifier.ts";
import { openConnection } from "./pool.ts";
import { toStoreError } from "./sqlstate.ts";

const READER_ROLE = "mds_reader";
const CONNECT_TIMEOUT_MS = 5_000;
/** For statements on small tables and catalogs. */
const STATEMENT_TIMEOUT = "10s";
const INSUFFICIENT_PRIVILEGE = "42501";

/** A login and its tenant. */
export interface BoundLogin {
  readonly login: string;
  /** UUID. */
  readonly tenant_id: string;
  /** The tenant's slug. */
  readonly tenant: string;
  /** False once the login was dropped, renamed or made anew: it has no tenant until it is bound again. */
  readonly valid: boolean;
}

/**
 * Binds a login to a tenant, named by slug or UUID, and makes it a reader. May be repeated.
 *
 * @param adminUrl - of a login that may grant mds_reader and is a member of mds_owner or mds_admin.
 * @throws StoreError `login_refused` with the reason, `tenant_unknown`, `role_missing` with the SQL for an administrator.
 */
export async function bindLogin(adminUrl: string, login: string, tenant: string): Promise<BoundLogin> {
  return inTransaction(adminUrl, async (client) => {
    const { rows } = await client.query<{ id: string | null }>("select mds.bind_login($1, $2) as id", [login, tenant]);
    if (rows[0]!.id === null) {
      throw new StoreError("tenant_unknown", `There is no tenant "${tenant}"; \`mds tenant list\` shows them.`);
    }
    if (!(await isReader(client, login))) await changeReader(client, `grant ${READER_ROLE} to ${identifier(login)}`);
    return (await boundLogins(client)).find((bound) => bound.login === login)!;
  });
}

/**
 * Lets a login go: it sees nothing any more. Repeating it does nothing.
 *
 * @returns Whether the login was bound.
 * @throws StoreError `role_missing` with the SQL for an administrator.
 */
export async function unbindLogin(adminUrl: string, login: string): Promise<boolean> {
  return inTransaction(adminUrl, async (client) => {
    const { rows } = await client.query<{ bound: boolean }>("select mds.unbind_login($1) as bound", [login]);
    if (await isReader(client, login)) await changeReader(client, `revoke ${READER_ROLE} from ${identifier(login)}`);
    return rows[0]!.bound;
  });
}

/** All bound logins, by name. */
export async function listBoundLogins(adminUrl: string): Promise<BoundLogin[]> {
  return inTransaction(adminUrl, boundLogins);
}

async function inTransaction<T>(adminUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  let client: pg.Client | undefined;
  try {
    client = await openConnection(adminUrl, "mds admin", CONNECT_TIMEOUT_MS);
    await client.query("begin");
    await client.query(`set local statement_timeout = '${STATEMENT_TIMEOUT}'`);
    const result = await work(client);
    await client.query("commit");
    return result;
  } catch (error) {
    throw toStoreError(error);
  } finally {
    await client?.end(); // what was not committed is rolled back
  }
}

async function boundLogins(client: pg.Client): Promise<BoundLogin[]> {
  const { rows } = await client.query<BoundLogin>(
    "select login, tenant_id, tenant, valid from mds.list_bound_logins()",
  );
  return rows;
}

/** False also where there is no such login. */
async function isReader(client: pg.Client, login: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_auth_members m
     join pg_roles l on l.oid = m.member and l.rolname = $1
     join pg_roles r on r.oid = m.roleid and r.rolname = $2`,
    [login, READER_ROLE],
  );
  return rowCount! > 0;
}

async function changeReader(client: pg.Client, sql: string): Promise<void> {
  try {
    await client.query(sql);
  } catch (error) {
    if ((error as { code?: string }).code !== INSUFFICIENT_PRIVILEGE) throw error;
    throw new StoreError(
      "role_missing",
      `This login may not change who reads; have an administrator run: ${sql}; and then repeat the command.`,
      { cause: error },
    );
  }
}
