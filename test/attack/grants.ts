/** What the catalog says that each role may do, beside what was intended. */
import { expect } from "vitest";
import { FUNCTIONS, VIEWS } from "./access.ts";
import type { AttackCase } from "./matrix.ts";

const ROLES = ["mds_admin", "mds_app", "mds_reader"];

export const GRANT_CASES: readonly AttackCase[] = [
  {
    name: "views and functions are granted as intended, and none is missing from the table of access",
    run: async ({ database }) => {
      const functions = await database.sql<{ name: string; roles: string[] }>(
        `select n.nspname || '.' || p.proname as name,
           array(select r from unnest($1::text[]) r where has_function_privilege(r, p.oid, 'execute') order by r) as roles
         from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('store', 'mds')`,
        [ROLES],
      );
      const views = await database.sql<{ name: string; roles: string[] }>(
        `select c.relname as name,
           array(select r from unnest($1::text[]) r where has_table_privilege(r, c.oid, 'select') order by r) as roles
         from pg_class c where c.relnamespace = 'mds'::regnamespace and c.relkind = 'v'`,
        [ROLES],
      );
      expect(asTable(functions)).toEqual(sorted(FUNCTIONS));
      expect(asTable(views)).toEqual(sorted(VIEWS));
    },
  },
  {
    name: "nobody has any other right on a relation of ours",
    run: async ({ database }) => {
      const rights = ["insert", "update", "delete", "truncate", "references", "trigger", "select"];
      const rows = await database.sql(
        `select r.name as role, c.oid::regclass::text as relation, p.right
         from unnest($1::text[] || array['public']) r (name)
         cross join pg_class c cross join unnest($2::text[]) p ("right")
         where c.relnamespace in ('store'::regnamespace, 'mds'::regnamespace) and c.relkind in ('r', 'p', 'v')
           and has_table_privilege(r.name, c.oid, p.right)
           and not (c.relkind = 'v' and p.right = 'select' and r.name <> 'public')`,
        [ROLES, rights],
      );
      expect(rows).toEqual([]);
      const [columns] = await database.sql(
        `select count(*)::int4 as granted from pg_attribute a join pg_class c on c.oid = a.attrelid
         where c.relnamespace in ('store'::regnamespace, 'mds'::regnamespace) and a.attacl is not null`,
      );
      expect(columns).toEqual({ granted: 0 });
    },
  },
  {
    name: "no function of ours is anybody's",
    run: async ({ database }) => {
      const rows = await database.sql(
        `select p.oid::regprocedure::text as name from pg_proc p
         where p.pronamespace in ('store'::regnamespace, 'mds'::regnamespace) and has_function_privilege('public', p.oid, 'execute')`,
      );
      expect(rows).toEqual([]);
    },
  },
  {
    name: "no role of ours may use another schema, make one, or make anything in one",
    run: async ({ database }) => {
      const rows = await database.sql(
        `select r as role, n.nspname as schema
         from unnest($1::text[]) r cross join pg_namespace n
         where n.nspname !~ '^pg_(temp|toast)' and n.nspname not in ('attack_evil', 'information_schema', 'pg_catalog')
           -- Those of an extension are as its makers want them.
           and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e')
           and (has_schema_privilege(r, n.oid, 'create')
             or (has_schema_privilege(r, n.oid, 'usage') and n.nspname not in ('mds', 'public')))`,
        [ROLES],
      );
      expect(rows).toEqual([]);
      const [made] = await database.sql(
        "select bool_or(has_database_privilege(r, current_database(), 'create')) as may from unnest($1::text[]) r",
        [ROLES],
      );
      expect(made).toEqual({ may: false });
    },
  },
  {
    name: "every function that runs as the owner has its search path fixed, and the owner has no power besides",
    run: async ({ database }) => {
      const rows = await database.sql(
        `select p.oid::regprocedure::text as name from pg_proc p
         where p.pronamespace in ('store'::regnamespace, 'mds'::regnamespace) and p.prosecdef
           and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)`,
      );
      expect(rows).toEqual([]);
      const [owner] = await database.sql(
        `select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
           rolcanlogin and not exists (select from pg_available_extensions a where a.name = 'timescaledb') as login
         from pg_roles where rolname = 'mds_owner'`,
      );
      expect(new Set(Object.values(owner!))).toEqual(new Set([false]));
    },
  },
  {
    name: "every view that tenants read is a barrier",
    run: async ({ database }) => {
      const tenants = Object.entries(VIEWS).filter(([, roles]) => roles.some((role) => role !== "mds_admin"));
      const rows = await database.sql<{ relname: string }>(
        `select relname from pg_class
         where relnamespace = 'mds'::regnamespace and relkind = 'v' and 'security_barrier=true' = any (reloptions)`,
      );
      expect(rows.map(({ relname }) => relname).sort()).toEqual(tenants.map(([name]) => name).sort());
    },
  },
  {
    name: "statistics are kept of ids only, in partitions too",
    run: async ({ database }) => {
      const rows = await database.sql<{ name: string }>(
        `select distinct a.attname as name from pg_attribute a join pg_class c on c.oid = a.attrelid
         where c.relnamespace = 'store'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
           and (c.relname ~ '_(series|data)(_|$)' or c.relname in ('job_runs', 'ingest_tokens', 'idempotency_keys')) and a.attstattarget is distinct from 0 order by 1`,
      );
      expect(rows.map(({ name }) => name)).toEqual(["scope", "series_id", "tenant_id"]);
    },
  },
];

function asTable(rows: readonly { readonly name: string; readonly roles: readonly string[] }[]): object {
  return sorted(Object.fromEntries(rows.map(({ name, roles }) => [name, roles])));
}

function sorted(table: Readonly<Record<string, readonly string[]>>): object {
  const entries = Object.entries(table).map(([name, roles]) => [name, [...roles].sort()] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
