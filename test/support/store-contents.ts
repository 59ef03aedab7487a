/** What a database holds, as text that can be compared with another one's: all but times of writing and made-up ids. */
import { readMigrations } from "../../src/database/migration-files.ts";
import { describeDatabase } from "./describe-database.ts";
import type { TestDatabase } from "./test-database.ts";

/** What a job leaves of itself, whose ids and times differ from run to run. */
const OF_JOBS = ["job_runs", "job_progress", "idempotency_keys"];

/** Of each of the store's tables the number of its rows and a digest of them, and the names of past partitions. */
export async function storeContents(database: TestDatabase): Promise<Record<string, string>> {
  const tables = await database.sql<{ name: string; series: string | null }>(
    `select c.relname as name, (select s.relname from pg_class s where s.relnamespace = c.relnamespace
       and c.relname ~ '_data$' and s.relname = split_part(c.relname, '_', 1) || '_series') as series
     from pg_class c where c.relnamespace = 'store'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and c.relname <> all ($1)`,
    [OF_JOBS],
  );
  const contents: Record<string, string> = {};
  for (const { name, series } of tables) {
    // Rows of data by the names of their series: its number is a matter of how often was tried.
    const [join, row] =
      series === null
        ? ["", "to_jsonb(d)"]
        : [`join store.${series} s using (series_id)`, "to_jsonb(d) || jsonb_build_object('series', to_jsonb(s))"];
    const [counted] = await database.sql<{ text: string }>(
      `select count(*) || ' rows ' || md5(coalesce(string_agg(line, ' ' order by line), '')) as text from (
         select regexp_replace((${row})::text, '"(id|\\w+_id|\\w+_at)": ("[^"]*"|\\d+|null)', '', 'g') as line
         from store.${name} d ${join}
       ) rows`,
    );
    contents[name] = counted!.text;
  }
  // Those of this year are made ahead each night, whatever a test does.
  const partitions = await database.sql<{ names: string }>(
    `select string_agg(a.partition_name, ' ' order by a.partition_name) as names
     from store.policies p cross join lateral store.all_partitions(p.dataset) a
     where a.range_start < date_trunc('year', now())`,
  );
  return { ...contents, partitions: partitions[0]!.names };
}

/** The schema itself, and which migrations made it. */
export async function schemaContents(database: TestDatabase): Promise<unknown> {
  const applied = await database.sql("select version, name, checksum from store.schema_migrations order by version");
  return { applied, newest: (await readMigrations()).at(-1)!.version, schema: await describeDatabase(database) };
}
