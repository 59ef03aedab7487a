/**
 * The cluster-wide roles that migrations need. They are shared by all databases of a cluster, so another database may
 * make them in the same moment, and nothing here or in a migration ever drops them.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { messageOf, StoreError } from "../errors/store-error.ts";
import { identifier } from "./identifier.ts";

export const OWNER_ROLE = "mds_owner";
const LOGIN_ROLES = ["mds_app", "mds_admin"] as const;
/** All of ours. */
export const ROLES = [OWNER_ROLE, ...LOGIN_ROLES, "mds_reader"] as const;

/** Made or granted in the same moment by somebody else: duplicate object, unique violation, tuple concurrently updated. */
const LOST_RACE = new Set(["42710", "23505", "XX000"]);
const MAX_TRIES = 20;
const INSUFFICIENT_PRIVILEGE = "42501";

/**
 * Sees to it that the roles exist, that this connection may act as their owner, and that the service's login is a
 * member of mds_app and mds_admin.
 *
 * @throws StoreError `role_missing` with the SQL for an administrator, when this login may not do it.
 */
export async function ensureRoles(client: pg.Client, serviceLogin: string): Promise<void> {
  const missing: string[] = [];
  const attempt = async (sql: string, done: () => Promise<boolean>): Promise<void> => {
    if (await done()) return;
    if (!(await runRacing(client, sql))) missing.push(`${sql};`);
  };
  for (const role of ROLES) await attempt(`create role ${identifier(role)}`, () => roleExists(client, role));
  if (missing.length === 0) {
    const login = (await client.query<{ login: string }>("select session_user::text as login")).rows[0]!.login;
    await attempt(`grant ${OWNER_ROLE} to ${identifier(login)}`, () => maySetRole(client, OWNER_ROLE));
    if (serviceLogin === login) {
      for (const role of LOGIN_ROLES) {
        await attempt(`grant ${role} to ${identifier(login)}`, () => maySetRole(client, role));
      }
    } else {
      for (const role of LOGIN_ROLES) {
        await attempt(`grant ${role} to ${identifier(serviceLogin)}`, () => isMember(client, serviceLogin, role));
      }
    }
  }
  if (missing.length > 0) {
    throw new StoreError(
      "role_missing",
      `This login may not prepare the roles that the store needs; set ADMIN_DATABASE_URL to one that may, or have an administrator run: ${missing.join(" ")}`,
    );
  }
}

/**
 * Lets the owner log in, which those must who have jobs in TimescaleDB. It gets no password; what pg_hba.conf lets in
 * without one is the administrator's to say.
 *
 * @throws StoreError `role_missing` with the SQL for an administrator, when this login may not do it.
 */
export async function ensureOwnerLogin(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query("select from pg_roles where rolname = $1 and rolcanlogin", [OWNER_ROLE]);
  const sql = `alter role ${OWNER_ROLE} login`;
  if (rowCount === 1 || (await runRacing(client, sql))) return;
  throw new StoreError(
    "role_missing",
    `TimescaleDB's jobs run as ${OWNER_ROLE}, which must be a login for that; have an administrator run: ${sql};`,
  );
}

/** False when this login may not do it. */
async function runRacing(client: pg.Client, sql: string): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    try {
      await client.query(sql);
      return true;
    } catch (error) {
      const { code = "" } = error as { code?: string };
      if (code === INSUFFICIENT_PRIVILEGE) return false;
      if (code === "42710") return true;
      if (!LOST_RACE.has(code) || tries === MAX_TRIES) {
        throw new StoreError("role_missing", `\`${sql}\` failed: ${messageOf(error)}`, { cause: error });
      }
      await sleep(10 * tries * Math.random());
    }
  }
}

async function roleExists(client: pg.Client, role: string): Promise<boolean> {
  const { rowCount } = await client.query("select from pg_roles where rolname = $1", [role]);
  return rowCount === 1;
}

async function maySetRole(client: pg.Client, role: string): Promise<boolean> {
  try {
    await client.query(`set role ${identifier(role)}`);
    await client.query("reset role");
    return true;
  } catch {
    return false;
  }
}

/** A login that does not exist yet cannot be a member; granting to it then fails with a clear message. */
async function isMember(client: pg.Client, login: string, role: string): Promise<boolean> {
  const { rows } = await client.query<{ member: boolean }>(
    "select pg_has_role(r.oid, $2, 'member') as member from pg_roles r where r.rolname = $1",
    [login, role],
  );
  return rows[0]?.member === true;
}
