/** The roles of the cluster, who is a member of them, and whether the service works with more power than it needs. */
import { openConnection } from "../pool.ts";
import { ensureRoles, ROLES } from "../roles.ts";
import { type Check, type Examination, type Finding, named } from "./finding.ts";

const CONNECT_TIMEOUT_MS = 5_000;

interface LoginFacts {
  readonly login: string;
  readonly superuser: boolean;
  readonly lacking: readonly string[];
}

export const checkRoles: Check = async (examination) => {
  const { ask } = examination;
  const there = await ask<{ rolname: string; power: boolean }>(
    // Where TimescaleDB is, its jobs need an owner that may log in.
    `select rolname, rolcanlogin and not (rolname = 'mds_owner' and exists (select from pg_available_extensions a where a.name = 'timescaledb'))
       or rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as power
     from pg_roles where rolname = any ($1)`,
    [ROLES],
  );
  const missing = ROLES.filter((role) => !there.some(({ rolname }) => rolname === role));
  const service = await loginFacts(examination.service, ["mds_app", "mds_admin"]);
  const admin = await loginFacts(examination.admin, ["mds_owner"]);
  const findings: Finding[] = [];
  const fix = (): Promise<string> => restore(examination.adminUrl, service.login);
  if (missing.length > 0) {
    findings.push({
      code: "role_missing",
      severity: "error",
      message: `The server lacks these roles: ${missing.join(", ")}.`,
      remedy: "Run `mds migrate` as a login that may make roles.",
      fix,
    });
  }
  if (missing.length === 0) findings.push(...membershipFindings(service, admin, fix));
  const powerful = there.filter(({ power }) => power).map(({ rolname }) => rolname);
  if (powerful.length > 0) {
    findings.push({
      code: "role_too_powerful",
      severity: "warning",
      message: `These roles may log in or have powers over the server, which they never need: ${named(powerful)}.`,
      remedy: "Take them away: alter role … nologin nosuperuser nocreaterole nocreatedb noreplication nobypassrls.",
    });
  }
  if (service.superuser) {
    findings.push({
      code: "superuser_login",
      severity: "warning",
      message: `The service's login "${service.login}" is a superuser: SQL that somebody makes it run can do anything.`,
      remedy: "Set DATABASE_URL to an ordinary login, and the superuser only as ADMIN_DATABASE_URL.",
    });
  }
  return findings;
};

function membershipFindings(service: LoginFacts, admin: LoginFacts, fix: () => Promise<string>): Finding[] {
  const finding = ({ login, lacking }: LoginFacts, remedy: string): Finding => ({
    code: "membership_missing",
    severity: "error",
    message: `The login "${login}" is no member of ${named(lacking)}.`,
    remedy,
  });
  const grantTo = ({ login, lacking }: LoginFacts): string =>
    `Grant it: ${lacking.map((role) => `grant ${role} to "${login}"`).join("; ")}.`;
  // The service's login should not own what keeps tenants apart.
  const adminRemedy =
    admin.login === service.login ? "Set ADMIN_DATABASE_URL to the login that migrates." : grantTo(admin);
  return [
    ...(service.lacking.length === 0 ? [] : [{ ...finding(service, grantTo(service)), fix }]),
    ...(admin.lacking.length === 0 ? [] : [finding(admin, adminRemedy)]),
  ];
}

/** A role that does not exist counts as lacking. */
async function loginFacts(client: Examination["admin"], wanted: readonly string[]): Promise<LoginFacts> {
  const { rows } = await client.query<LoginFacts>(
    `select l.rolname as login, l.rolsuper as superuser, array(
       select w from unnest($1::text[]) w
       where not exists (select from pg_roles r where r.rolname = w and pg_has_role(l.oid, r.oid, 'member'))
       order by w
     ) as lacking
     from pg_roles l where l.rolname = session_user`,
    [wanted],
  );
  return rows[0]!;
}

async function restore(adminUrl: string, serviceLogin: string): Promise<string> {
  const client = await openConnection(adminUrl, "mds doctor", CONNECT_TIMEOUT_MS);
  try {
    await ensureRoles(client, serviceLogin);
    return `Made the roles that were missing, and "${serviceLogin}" a member of mds_app and mds_admin.`;
  } finally {
    await client.end();
  }
}
