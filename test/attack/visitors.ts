/**
 * Who attacks: a login, what its session has set before, the one tenant whose data it may see, and the roles whose rights
 * it has. The tenants that a session names in vain are part of the table.
 */
import { type Arena, LOGINS, SLUGS, type TenantName } from "./arena.ts";

export interface Visitor {
  readonly name: string;
  /** Empty for the service's login; `superuser` for the tests' own. */
  readonly login: string;
  /** Statements that make the session what it is; run outside a transaction. */
  readonly before: (arena: Arena) => readonly string[];
  /** Whose data it may see and, with mds_app, write. */
  readonly tenant?: TenantName;
  readonly rights: readonly ("mds_app" | "mds_reader" | "mds_admin")[];
  /** May see the slugs and names of all tenants, and the system's runs. */
  readonly isAdmin?: boolean;
  /** Makes syntax errors and asks for what does not exist of its own accord. */
  readonly toleratesFaults?: boolean;
  /** Meets every attack, not only the short list. */
  readonly thorough?: boolean;
}

const APP = "set role mds_app";
const setTenant = (value: string): string => `set app.tenant_id = '${value.replaceAll("'", "''")}'`;

/**
 * A session that is set against us: names like ours in places that are searched first, strange settings, and a planner
 * that is driven into other plans.
 */
const HOSTILE = [
  "create temp table tenants (id uuid, slug text, state text)",
  "create temp table role_tenants (role_name name, role_oid oid, tenant_id uuid)",
  "create temp table bars_series (series_id int4, tenant_id uuid, vendor text, symbol text, timeframe text)",
  "create temp table bars_data (series_id int4, ts timestamptz, open_price float8)",
  "create temp view pg_roles as select 0::oid as oid, 'x'::name as rolname, true as rolsuper",
  `create function pg_temp.current_tenant() returns uuid language sql as $$ select current_setting('app.tenant_id')::uuid $$`,
  "create function pg_temp.is_bound() returns boolean language sql as $$ select false $$",
  "create function pg_temp.pg_has_role(name, text, text) returns boolean language sql as $$ select true $$",
  "create function pg_temp.to_regrole(text) returns regrole language sql as $$ select null::regrole $$",
  "create function pg_temp.current_setting(text, boolean) returns text language sql as $$ select 'x' $$",
  "set search_path = pg_temp, attack_evil, public, pg_catalog",
  "set timezone = 'Asia/Kolkata'",
  "set datestyle = 'German'",
  "set intervalstyle = 'iso_8601'",
  "set extra_float_digits = -10",
  "set standard_conforming_strings = off",
  "set escape_string_warning = off",
  "set transform_null_equals = on",
  "set quote_all_identifiers = on",
  "set row_security = off",
  "set enable_nestloop = off",
  "set enable_indexscan = off",
  "set enable_bitmapscan = off",
  "set enable_partition_pruning = off",
  "set plan_cache_mode = force_generic_plan",
  "set default_transaction_isolation = serializable",
  "set client_min_messages = debug5",
  "set debug_print_plan = on",
  "set debug_print_rewritten = on",
  "set bytea_output = 'escape'",
  "set app.tenant = 'x'",
  "set store.tenant_id = 'x'",
].join(";\n");

const bound = (login: string, extra: readonly string[] = []) => ({ login, before: () => extra });

export const VISITORS: readonly Visitor[] = [
  // A login that is bound to a tenant.
  { name: "bound to a", login: LOGINS.boundA, before: () => [], tenant: "a", rights: ["mds_reader"], thorough: true },
  ...(["b", "gone", "empty"] as const).map(
    (name): Visitor => ({
      name: `bound to a, with the tenant set to ${name}`,
      login: LOGINS.boundA,
      before: ({ ids }) => [setTenant(ids[name])],
      tenant: "a",
      rights: ["mds_reader"],
      thorough: name === "b",
    }),
  ),
  {
    name: "bound to a, in a hostile session",
    login: LOGINS.boundA,
    before: ({ ids }) => [setTenant(ids.b), HOSTILE],
    tenant: "a",
    rights: ["mds_reader"],
    thorough: true,
  },
  {
    name: "bound to a, with a setting that is no tenant",
    login: LOGINS.boundA,
    before: () => [setTenant("' or true --")],
    tenant: "a",
    rights: ["mds_reader"],
  },
  { name: "bound to a tenant without rows", ...bound(LOGINS.boundEmpty), tenant: "empty", rights: ["mds_reader"] },
  {
    name: "bound to a tenant that is being deleted",
    ...bound(LOGINS.boundGone),
    rights: ["mds_reader"],
    thorough: true,
  },
  {
    name: "bound to a and member of mds_app, with the tenant set to b",
    login: LOGINS.boundApp,
    before: ({ ids }) => [setTenant(ids.b), APP],
    tenant: "a",
    rights: ["mds_app"],
    thorough: true,
  },
  {
    name: "a login made anew under the name of a bound one, member of mds_app, with the tenant set to b",
    login: LOGINS.recreated,
    before: ({ ids }) => [setTenant(ids.b), APP],
    rights: ["mds_app"],
    thorough: true,
  },
  // A login without a tenant.
  { name: "reader that is not bound", ...bound(LOGINS.unbound), rights: ["mds_reader"], thorough: true },
  {
    name: "reader that is not bound, with the tenant set to b",
    login: LOGINS.unbound,
    before: ({ ids }) => [setTenant(ids.b)],
    rights: ["mds_reader"],
  },
  {
    name: "login without any role, with the tenant set to b",
    login: LOGINS.stranger,
    before: ({ ids }) => [setTenant(ids.b)],
    rights: [],
    thorough: true,
  },
  // The service's login, which may act for any tenant, and here does so for none or for one.
  { name: "service as itself, without a tenant", ...bound(""), rights: ["mds_app", "mds_admin"], isAdmin: true },
  {
    name: "service as mds_admin, with the tenant set to a",
    login: "",
    before: ({ ids }) => [setTenant(ids.a), "set role mds_admin"],
    rights: ["mds_admin"],
    isAdmin: true,
    thorough: true,
  },
  { name: "application without a tenant", ...bound("", [APP]), rights: ["mds_app"], thorough: true },
  ...[
    ["an empty tenant", ""],
    ["a malformed tenant", "not-a-uuid' or true --"],
    ["a tenant that is one character short", "00000000-0000-4000-8000-00000000000"],
    ["a slug for a tenant", SLUGS.b],
    ["a tenant with a newline", "00000000-0000-4000-8000-000000000000\n"],
    ["a tenant that does not exist", "00000000-0000-4000-8000-000000000000"],
  ].map(
    ([what, value]): Visitor => ({
      name: `application with ${what}`,
      login: "",
      before: () => [APP, setTenant(value!)],
      rights: ["mds_app"],
    }),
  ),
  {
    name: "application with a tenant in capitals",
    login: "",
    before: ({ ids }) => [APP, setTenant(ids.b.toUpperCase())],
    rights: ["mds_app"],
  },
  {
    name: "application with a tenant that is being deleted",
    login: "",
    before: ({ ids }) => [APP, setTenant(ids.gone)],
    rights: ["mds_app"],
    thorough: true,
  },
  {
    name: "application for a",
    login: "",
    before: ({ ids }) => [APP, setTenant(ids.a)],
    tenant: "a",
    rights: ["mds_app"],
    thorough: true,
  },
  {
    name: "application for a, in a hostile session",
    login: "",
    before: ({ ids }) => [APP, setTenant(ids.a), HOSTILE],
    tenant: "a",
    rights: ["mds_app"],
    thorough: true,
  },
  {
    name: "application for a tenant without rows",
    login: "",
    before: ({ ids }) => [APP, setTenant(ids.empty)],
    tenant: "empty",
    rights: ["mds_app"],
  },
  // A superuser that uses what the library uses.
  { name: "superuser as the application, without a tenant", ...bound("superuser", [APP]), rights: ["mds_app"] },
  {
    name: "superuser as the application for a",
    login: "superuser",
    before: ({ ids }) => [APP, setTenant(ids.a)],
    tenant: "a",
    rights: ["mds_app"],
  },
  {
    name: "superuser as a reader of a",
    login: "superuser",
    before: ({ ids }) => ["set role mds_reader", setTenant(ids.a)],
    tenant: "a",
    rights: ["mds_reader"],
  },
  {
    name: "owner's login as the application, with a malformed tenant",
    login: LOGINS.owner,
    before: () => [APP, setTenant("x")],
    rights: ["mds_app"],
  },
];
