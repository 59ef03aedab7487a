/**
 * What the catalog says of the store's schemas, as facts by name: relations, columns, constraints, indexes, triggers,
 * functions, views and grants. Partitions are left out: they come and go. The facts of a database that was just migrated
 * are kept in migrations/manifest.json (a test makes them), and any other database is compared with those.
 */
import type { Connection } from "../pool.ts";

/** By kind and name, as in `column store.bars_data.ts`. */
export type SchemaFacts = Readonly<Record<string, string>>;

/** Of the store's own, without partitions. */
const RELATIONS = `
  select c.oid, n.nspname || '.' || c.relname as name, c.relkind, c.relowner, c.relacl, c.reloptions
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('store', 'mds') and c.relkind in ('r', 'p', 'v') and not c.relispartition`;

/** Roles of ours and everybody; the owner's own rights go without saying. */
const GRANTEE = `case when x.grantee = 0 then 'public' else x.grantee::regrole::text end`;

/** Expressions without parentheses: a restored dump has others, because it has read its own spelling. */
function flat(expression: string): string {
  return `translate(${expression}, '()', '')`;
}

const FACTS = [
  `select 'relation ' || r.name as key,
     case r.relkind when 'r' then 'table' when 'p' then 'partitioned ' || lower(pg_get_partkeydef(r.oid)) else 'view' end
       || ', owned by ' || r.relowner::regrole || coalesce(', ' || array_to_string(r.reloptions, ', '), '') as fact
   from relations r`,
  `select 'column ' || r.name || '.' || a.attname, format_type(a.atttypid, a.atttypmod)
     || case when a.attnotnull then ' not null' else '' end
     || case when a.attidentity <> '' then ' identity' else '' end
     || case when a.attgenerated <> '' then ' generated' else '' end
     || coalesce(' default ' || ${flat("pg_get_expr(d.adbin, d.adrelid)")}, '')
     || case when a.attstattarget = 0 then ' without statistics' else '' end
     || case when r.relkind = 'v' then ' at ' || a.attnum else '' end
   from relations r
   join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
   left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum`,
  `select 'constraint ' || r.name || '.' || c.conname, ${flat("pg_get_constraintdef(c.oid)")}
     || case when c.convalidated then '' else ' (not validated)' end
   from relations r join pg_constraint c on c.conrelid = r.oid and c.contype in ('c', 'p', 'u', 'f')`,
  `select 'index ' || r.name || '.' || i.indexrelid::regclass::text, ${flat("pg_get_indexdef(i.indexrelid)")}
   from relations r join pg_index i on i.indrelid = r.oid`,
  `select 'trigger ' || r.name || '.' || t.tgname, pg_get_triggerdef(t.oid) || ' (' || t.tgenabled::text || ')'
   from relations r join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal
     and t.tgname <> 'ts_insert_blocker'`, // which older versions of TimescaleDB make themselves
  // Up to PostgreSQL 15 the columns of a single table are spelt with its name, from 16 on without.
  `select 'view ' || r.name, md5(${flat(`regexp_replace(pg_get_viewdef(r.oid), '\\m[a-z_]\\w*[.]', '', 'g')`)})
   from relations r where r.relkind = 'v'`,
  `select 'function ' || p.oid::regprocedure, l.lanname || ', ' || p.provolatile::text || case when p.prosecdef then ', definer' else '' end
     || ', owned by ' || p.proowner::regrole || coalesce(', ' || array_to_string(p.proconfig, ', '), '')
     || ', gives ' || pg_get_function_result(p.oid) || ', ' || md5(p.prosrc || pg_get_function_arguments(p.oid))
   from functions p join pg_language l on l.oid = p.prolang`,
  `select 'grant ' || lower(x.privilege_type) || ' on ' || r.name || ' to ' || ${GRANTEE}, ''
   from relations r cross join lateral aclexplode(r.relacl) x where x.grantee <> r.relowner`,
  `select 'grant execute on function ' || p.oid::regprocedure || ' to ' || ${GRANTEE}, ''
   from functions p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
   where x.grantee <> p.proowner`,
  `select 'grant ' || lower(x.privilege_type) || ' on schema ' || n.nspname || ' to ' || ${GRANTEE}, ''
   from pg_namespace n cross join lateral aclexplode(n.nspacl) x
   where n.nspname in ('store', 'mds') and x.grantee <> n.nspowner`,
];

const SQL = `with relations as (${RELATIONS}), functions as (
    select p.* from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('store', 'mds')
  )
  select key, fact from (${FACTS.join("\nunion all\n")}) all_facts order by key collate "C", fact collate "C"`;

/** Reads them; any login may. */
export async function readSchemaFacts(client: Pick<Connection, "query">): Promise<SchemaFacts> {
  // Names are spelt with their schema only where the search path does not reach it.
  await client.query("begin read only");
  try {
    await client.query("set local search_path = pg_catalog");
    const { rows } = await client.query<{ key: string; fact: string }>(SQL);
    return Object.fromEntries(rows.map(({ key, fact }) => [key, fact]));
  } finally {
    await client.query("rollback");
  }
}
