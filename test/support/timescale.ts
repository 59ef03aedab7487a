/** What tests do to hypertables, and see of them. */
import type { TestDatabase } from "./test-database.ts";

/** Puts every chunk there is into the columnstore; how many there were. */
export async function compressAll(database: TestDatabase): Promise<number> {
  const rows = await database.sql(
    `select compress_chunk(format('%I.%I', c.chunk_schema, c.chunk_name)::regclass) as chunk
     from timescaledb_information.chunks c where c.hypertable_schema = 'store'`,
  );
  return rows.length;
}

/** Rows of a dataset's chunks that are stored as rows, and not in the columnstore. */
export async function rowsBesideColumnstore(database: TestDatabase, dataset: string): Promise<number> {
  const chunks = await database.sql<{ name: string }>(
    `select format('%I.%I', c.chunk_schema, c.chunk_name) as name from timescaledb_information.chunks c
     where c.hypertable_schema = 'store' and c.hypertable_name = $1`,
    [`${dataset}_data`],
  );
  let count = 0;
  for (const { name } of chunks) {
    const [row] = await database.sql<{ rows: number }>(`select count(*)::int4 as rows from only ${name}`);
    count += row!.rows;
  }
  return count;
}
