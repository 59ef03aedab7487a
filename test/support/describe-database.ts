/** Everything that migrations made in a database, as sorted lines of text that can be compared. */
import type { TestDatabase } from "./test-database.ts";

const QUERIES = [
  `select 'column ' || c.table_schema || '.' || c.table_name || '.' || c.column_name || ' ' || c.udt_name || ' '
     || c.is_nullable || ' ' || coalesce(c.column_default, '') || c.is_identity || ' ' || c.ordinal_position as line
   from information_schema.columns c where c.table_schema in ('store', 'mds')`,
  `select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) as line
   from pg_constraint where connamespace in ('store'::regnamespace, 'mds'::regnamespace)`,
  `select 'index ' || indexdef as line from pg_indexes where schemaname in ('store', 'mds')`,
  `select 'relation ' || oid::regclass || ' ' || relkind::text || ' ' || relowner::regrole || ' '
     || coalesce(relacl::text, '') || ' ' || coalesce(reloptions::text, '') || ' ' || coalesce(pg_get_partkeydef(oid), '') as line
   from pg_class where relnamespace in ('store'::regnamespace, 'mds'::regnamespace) and relkind in ('r', 'p', 'v', 'S')`,
  `select 'view ' || schemaname || '.' || viewname || ' ' || definition as line from pg_views where schemaname in ('store', 'mds')`,
  `select 'function ' || pg_get_functiondef(oid) || ' ' || proowner::regrole || ' ' || coalesce(proacl::text, '') as line
   from pg_proc where pronamespace in ('store'::regnamespace, 'mds'::regnamespace)`,
  `select 'schema ' || nspname || ' ' || nspowner::regrole || ' ' || coalesce(nspacl::text, '') as line
   from pg_namespace where nspname in ('store', 'mds')`,
  `select 'trigger ' || pg_get_triggerdef(t.oid) as line from pg_trigger t join pg_class c on c.oid = t.tgrelid
   where not t.tgisinternal and c.relnamespace = 'store'::regnamespace`,
  "select 'setting ' || name || ' ' || value as line from store.settings",
];

export async function describeDatabase(database: TestDatabase): Promise<string[]> {
  const lines: string[] = [];
  for (const query of QUERIES) lines.push(...(await database.sql<{ line: string }>(query)).map(({ line }) => line));
  return lines.sort();
}
