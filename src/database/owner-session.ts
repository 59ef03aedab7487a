/**
 * Work that only the owner of the tables may do, over a direct connection of its own. Every statement has a deadline on
 * the server and one here; an abort closes the connection, and the server then ends the statement within seconds.
 */
import { StoreError } from "../errors/store-error.ts";
import { openDirectConnection } from "./direct-connection.ts";
import type { Connection } from "./pool.ts";
import { OWNER_ROLE } from "./roles.ts";
import { toStoreError } from "./sqlstate.ts";

export interface OwnerOptions {
  /** Direct connection of a login that is a member of mds_owner. */
  readonly adminUrl: string;
  readonly signal?: AbortSignal | undefined;
  /** Deadline of each statement; 60 s unless given. */
  readonly statementTimeoutMs?: number;
}

/** A session of the owner, in UTC. Statements outside `inTransaction` are transactions of their own. */
export interface OwnerSession {
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  inTransaction<T>(work: () => Promise<T>): Promise<T>;
}

const APPLICATION_NAME = "mds owner";
const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 60_000;
/** How much longer than the server this side waits, for a network that is gone. */
const GRACE_MS = 5_000;
/** What setting a role is refused with: one that does not exist, and one that this login is no member of. */
const NOT_THE_OWNER = new Set(["22023", "42501"]);

/**
 * Runs the work as mds_owner.
 *
 * @throws StoreError `config_invalid` through a pooler, `role_missing` for a login that may not act as the owner,
 * `aborted`, `deadline_exceeded`, and what else a database may say.
 */
export async function withOwner<T>(options: OwnerOptions, work: (owner: OwnerSession) => Promise<T>): Promise<T> {
  const { adminUrl, signal, statementTimeoutMs = STATEMENT_TIMEOUT_MS } = options;
  if (signal?.aborted) throw stopped(signal);
  let client: Connection | undefined;
  const cut = (): void => {
    (client as Connection & { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  };
  try {
    client = await openDirectConnection(adminUrl, APPLICATION_NAME, CONNECT_TIMEOUT_MS);
    signal?.addEventListener("abort", cut, { once: true });
    if (signal?.aborted) cut();
    await prepare(client, statementTimeoutMs);
    return await work(sessionOn(client, statementTimeoutMs + GRACE_MS, cut));
  } catch (error) {
    throw signal?.aborted ? stopped(signal) : toStoreError(error);
  } finally {
    signal?.removeEventListener("abort", cut);
    await client?.end();
  }
}

async function prepare(client: Connection, statementTimeoutMs: number): Promise<void> {
  // So that a statement ends when its caller is gone; servers on some systems cannot.
  await client.query("set client_connection_check_interval = '1s'").catch(() => undefined);
  await client.query(`set statement_timeout = ${statementTimeoutMs}`);
  await client.query("set timezone = 'UTC'");
  try {
    await client.query(`set role ${OWNER_ROLE}`);
  } catch (error) {
    throw asNotOwner(error);
  }
}

/** What setting the role was refused with, as one sentence; any other error as it is. */
export function asNotOwner(cause: unknown): unknown {
  if (!NOT_THE_OWNER.has((cause as { code?: string }).code ?? "")) return cause;
  return new StoreError(
    "role_missing",
    `This login may not act as ${OWNER_ROLE}, who owns the tables; set ADMIN_DATABASE_URL to the login that migrates.`,
    { cause },
  );
}

function sessionOn(client: Connection, deadlineMs: number, cut: () => void): OwnerSession {
  const query: OwnerSession["query"] = async (text, values = []) => {
    const timer = setTimeout(cut, deadlineMs);
    try {
      return (await client.query(text, [...values])).rows;
    } catch (error) {
      throw toStoreError(error);
    } finally {
      clearTimeout(timer);
    }
  };
  const inTransaction: OwnerSession["inTransaction"] = async (work) => {
    await query("begin");
    try {
      const result = await work();
      await query("commit");
      return result;
    } catch (error) {
      await query("rollback").catch(() => {}); // the first error is the one that counts
      throw error;
    }
  };
  return { query, inTransaction };
}

function stopped(signal: AbortSignal): StoreError {
  if (signal.reason instanceof StoreError) return signal.reason;
  return new StoreError("aborted", "The call was stopped by its caller.", { cause: signal.reason });
}
