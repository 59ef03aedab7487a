/** What there is to attack, read from the catalog, so that nothing new is left out. */
import type { TestDatabase } from "../support/test-database.ts";

export interface AttackedFunction {
  readonly schema: "store" | "mds";
  readonly name: string;
  readonly argNames: readonly string[];
  readonly argTypes: readonly string[];
}

export interface AttackedColumn {
  readonly name: string;
  readonly type: string;
}

export interface Catalog {
  /** Of schema store, without the schema. */
  readonly tables: readonly string[];
  /** With their schema: chunks, and their columnstores, are in one of TimescaleDB's. */
  readonly partitions: readonly string[];
  readonly sequences: readonly string[];
  /** Views of schema mds, with their columns. */
  readonly views: Readonly<Record<string, readonly AttackedColumn[]>>;
  readonly functions: readonly AttackedFunction[];
}

export async function readCatalog(database: TestDatabase): Promise<Catalog> {
  const relations = await database.sql<{ name: string; kind: string; part: boolean }>(
    `select c.relname as name, c.relkind as kind, c.relispartition as part from pg_class c
     where c.relnamespace in ('store'::regnamespace, 'mds'::regnamespace) and c.relkind not in ('i', 'I', 'c') order by 1`,
  );
  const strange = relations.filter(({ kind }) => !["r", "p", "S", "v"].includes(kind));
  if (strange.length > 0) throw new Error(`No attack knows relations of kind ${strange[0]!.kind}: ${strange[0]!.name}`);
  const chunks = await database.sql<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c
     where c.relnamespace = to_regnamespace('_timescaledb_internal') and c.relkind = 'r'
       and c.relowner = 'mds_owner'::regrole order by 1`,
  );
  const columns = await database.sql<{ view: string; name: string; type: string }>(
    `select c.relname as view, a.attname as name, format_type(a.atttypid, a.atttypmod) as type
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
     where c.relnamespace in ('store'::regnamespace, 'mds'::regnamespace) and c.relkind = 'v' order by 1, a.attnum`,
  );
  const views: Record<string, AttackedColumn[]> = {};
  for (const { view, name, type } of columns) {
    views[view] ??= [];
    views[view].push({ name, type });
  }
  const functions = await database.sql<AttackedFunction & { argNames: string[]; argTypes: string[] }>(
    `select n.nspname as schema, p.proname as name, coalesce(p.proargnames, '{}') as "argNames",
       array(select format_type(t, null) from unnest(p.proargtypes) with ordinality as a (t, at) order by at) as "argTypes"
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname in ('store', 'mds') order by 1, 2`,
  );
  return {
    tables: relations.filter(({ kind, part }) => (kind === "r" || kind === "p") && !part).map(({ name }) => name),
    partitions: [
      ...relations.filter(({ part }) => part).map(({ name }) => `store.${name}`),
      ...chunks.map(({ name }) => name),
    ],
    sequences: relations.filter(({ kind }) => kind === "S").map(({ name }) => name),
    views,
    functions,
  };
}
