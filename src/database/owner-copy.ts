/**
 * COPY by the owner of the tables, in a transaction with what has to be asked before it and written after it. Nothing
 * stays on the connection. Row security, grants and the API's functions are passed by: who calls this has to check what
 * they check.
 */
import { pipeline } from "node:stream/promises";
import pgCopyStreams from "pg-copy-streams";
import { asNotOwner } from "./owner-session.ts";
import type { Pool, PoolClient } from "./pool.ts";
import { OWNER_ROLE } from "./roles.ts";
import { inOneGo, type Statement, withClient } from "./session.ts";

/** Connections of a login that is a member of mds_owner. */
export interface OwnerScope {
  readonly pool: Pool;
  /** Deadline of one transaction. */
  readonly timeoutMs: number;
}

/** One transaction. */
export interface OwnerCopy<Row> {
  readonly before: Statement;
  /** `copy … from stdin (format binary)`. */
  readonly copy: string;
  /** The bytes, anew for each try. */
  readonly pieces: () => Iterable<Buffer>;
  /** Asked when all rows are sent; if not, they are undone. */
  readonly mayCommit: () => Promise<boolean>;
  /** What is written with the rows, made of what `before` answered. It may throw, and then nothing is written. */
  readonly after: (rows: readonly Row[]) => Statement | undefined;
}

const SCOPE_SQL =
  "select set_config('role', $1, true), set_config('statement_timeout', $2, true), set_config('timezone', 'UTC', true)";

/**
 * @returns Whether the rows are stored.
 * @throws StoreError `role_missing` for a login that may not act as the owner; what else a database may say.
 */
export function copyAsOwner<Row extends object>(
  scope: OwnerScope,
  { before, copy, pieces, mayCommit, after }: OwnerCopy<Row>,
  signal?: AbortSignal,
): Promise<boolean> {
  return withClient(scope, signal, async (client) => {
    try {
      const rows = await begin<Row>(client, scope, before);
      const then = after(rows);
      await pipeline(pieces(), client.query(pgCopyStreams.from(copy)));
      const isWanted = await mayCommit();
      const last = { text: isWanted ? "commit" : "rollback", values: [] };
      await inOneGo(client, isWanted && then !== undefined ? [then, last] : [last]);
      return isWanted;
    } catch (error) {
      await client.query("rollback").catch(() => undefined); // the first error is the one that counts
      throw error;
    }
  });
}

/** One statement of the owner in a transaction of its own; its rows. */
export function queryAsOwner<Row extends object>(
  scope: OwnerScope,
  statement: Statement,
  signal?: AbortSignal,
): Promise<readonly Row[]> {
  return withClient(scope, signal, async (client) => {
    try {
      return await begin<Row>(client, scope, statement);
    } finally {
      await client.query("rollback").catch(() => undefined); // it only read
    }
  });
}

async function begin<Row extends object>(
  client: PoolClient,
  { timeoutMs }: OwnerScope,
  first: Statement,
): Promise<Row[]> {
  const role = { text: SCOPE_SQL, values: [OWNER_ROLE, String(timeoutMs)] };
  try {
    const answers = await inOneGo<Row>(client, [{ text: "begin", values: [] }, role, first]);
    return answers[2]!.rows;
  } catch (error) {
    throw asNotOwner(error);
  }
}
