/**
 * Connection pools. A pool is opened once by whoever composes the process and closed by the same; nothing else opens
 * connections. Times come back as text and int8 as bigint, so that nothing is cut to what a JavaScript number holds.
 */
import pg from "pg";
import { StoreError } from "../errors/store-error.ts";

export type Pool = pg.Pool;
export type PoolClient = pg.PoolClient;
/** A connection outside any pool. */
export type Connection = pg.Client;

export interface PoolOptions {
  /** Connection string; a Unix socket is named by its folder in the `host` parameter. */
  readonly url: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  readonly maxConnections: number;
  /** How long to wait for a free or new connection. */
  readonly connectTimeoutMs: number;
  /** An idle connection broke; the pool has dropped it already. */
  readonly onIdleError?: (error: Error) => void;
}

/** Idle connections are given back to the server after this time. */
const IDLE_TIMEOUT_MS = 30_000;

const INT8_OID = 20;
const TIMESTAMPTZ_OID = 1184;

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") => {
    if (oid === INT8_OID) return (text: string) => BigInt(text);
    if (oid === TIMESTAMPTZ_OID) return (text: string) => text;
    return pg.types.getTypeParser(oid, format as "text");
  }) as pg.CustomTypesConfig["getTypeParser"],
};

/** Opens a pool; no connection is made before the first use. */
export function openPool(options: PoolOptions): Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: options.applicationName,
    max: options.maxConnections,
    connectionTimeoutMillis: options.connectTimeoutMs,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    allowExitOnIdle: true,
    types,
  });
  // Without listeners a broken connection, idle or checked out, would end the process; a query under way reports it.
  pool.on("error", (error) => options.onIdleError?.(error));
  pool.on("connect", (client) => client.on("error", () => {}));
  return pool;
}

/** One direct connection, outside any pool, for work that holds session state such as an advisory lock. */
export async function openConnection(
  url: string,
  applicationName: string,
  connectTimeoutMs: number,
): Promise<Connection> {
  const client = new pg.Client({
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    types,
  });
  client.on("error", () => {}); // A loss is reported by the query that meets it.
  await client.connect();
  return client;
}

/**
 * Lets the client send statements without waiting for the answers to those before. COPY cannot be used meanwhile.
 * Only on a client that has nothing under way.
 */
export function setPipelining(client: PoolClient, on: boolean): void {
  const pipelined = client as PoolClient & { pipeline?: boolean };
  if (typeof pipelined.pipeline !== "boolean") {
    throw new StoreError(
      "internal",
      "This version of the PostgreSQL driver has no pipeline mode; install the locked one.",
    );
  }
  pipelined.pipeline = on;
}
