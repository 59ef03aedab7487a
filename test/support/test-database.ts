/** A database of its own for a test file: a copy of the migrated template, reached as an ordinary login. */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";
import type { EngineName } from "../../src/database/engine/engine.ts";

export const TEMPLATE = "mds_test_template";
/** Without the store, but with the extension that the engine needs. */
export const EMPTY_TEMPLATE = "mds_test_empty";
/** An ordinary login, member of mds_app and mds_admin. */
export const SERVICE_LOGIN = "mds_test_service";

export interface TestDatabase {
  readonly name: string;
  /** The service's login: ordinary, not a superuser. */
  readonly url: string;
  /** The superuser. */
  readonly adminUrl: string;
  /** One statement as the superuser. */
  sql<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

/** With `empty` a database without the store in it. */
export async function createTestDatabase(options: { readonly empty?: boolean } = {}): Promise<TestDatabase> {
  const server = inject("adminUrl");
  const name = `mds_test_${randomBytes(6).toString("hex")}`;
  await onServer(server, `create database ${name} template ${options.empty ? EMPTY_TEMPLATE : TEMPLATE}`);
  const adminUrl = adminUrlOf(server, name);
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  return {
    name,
    adminUrl,
    url: serviceUrlOf(server, name),
    sql: async (text, values) => (await client.query(text, values)).rows,
    drop: async () => {
      await client.end();
      await onServer(server, `drop database ${name} with (force)`);
    },
  };
}

/** Drops what holds the bars of a time. */
export function dropPartitionSql(engine: EngineName, time: string): string {
  if (engine === "timescale") {
    return `select drop_chunks('store.bars_data', older_than => p.range_end, newer_than => p.range_start)
      from store.partitions('bars') p where '${time}' >= p.range_start and '${time}' < p.range_end`;
  }
  return `drop table store.bars_data_${time.slice(0, 7).replace("-", "_")}`;
}

/** The same server and login, another database. */
export function adminUrlOf(server: string, database: string): string {
  const url = parse(server);
  url.pathname = `/${database}`;
  return url.href;
}

/** The same server, the ordinary login, another database. */
export function serviceUrlOf(server: string, database: string): string {
  return loginUrl({ url: adminUrlOf(server, database) }, SERVICE_LOGIN);
}

/** The connection string of another login, whose password is its name. */
export function loginUrl({ url }: Pick<TestDatabase, "url">, login: string): string {
  const changed = parse(url);
  changed.username = login;
  changed.password = login;
  return changed.href;
}

/** A URL without a host, which names a socket in its query, could have no login. */
function parse(url: string): URL {
  return new URL(url.replace(/^(\w+:\/\/)(?=\/)/, "$1localhost"));
}

async function onServer(server: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
