/**
 * Tenant transactions. Each begins explicitly and its first statement sets role, tenant and timeout together, for this
 * transaction only; nothing stays on the connection, so a transaction pooler may sit between. A deadline or an abort
 * closes the connection: the server then rolls back, at the latest when its statement timeout ends.
 */
import pgCopyStreams from "pg-copy-streams";
import { StoreError } from "../errors/store-error.ts";
import { type Pool, type PoolClient, setPipelining } from "./pool.ts";
import { withRetry } from "./retry.ts";
import { toStoreError } from "./sqlstate.ts";

const SCOPE_SQL =
  "select set_config('role', $1, true), set_config('app.tenant_id', $2, true), set_config('statement_timeout', $3, true)";

/** The role as which a login works: mds_app where it may, else itself. */
const OWN_ROLE_SQL = `select set_config('role', case when exists (
    select from pg_roles r where r.rolname = 'mds_app' and pg_has_role(r.oid, 'member')
  ) then 'mds_app' else 'none' end, true), set_config('app.tenant_id', '', true), set_config('statement_timeout', $1, true)`;

export interface TenantScope {
  readonly pool: Pool;
  /** `none` is the login itself: a reader that is bound to its tenant. */
  readonly role: "mds_app" | "none";
  /** UUID. */
  readonly tenantId: string;
  /** Deadline of one transaction, and of each page of a read. */
  readonly timeoutMs: number;
}

/** Query text with its parameters; a Buffer is sent in PostgreSQL's binary format. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** One statement in a tenant's transaction of its own, sent in one go; its rows, once committed. */
export function runInTenant<Row>(scope: TenantScope, statement: Statement, signal?: AbortSignal): Promise<Row[]> {
  return runTransaction(scope, beginTenant(scope), statement, signal);
}

function beginTenant({ role, tenantId, timeoutMs }: TenantScope): Statement {
  return { text: SCOPE_SQL, values: [role, tenantId, String(timeoutMs)] };
}

/** A role's work that belongs to no tenant: `mds_admin` for tenants, `mds_app` for the state of the schema. */
export interface RoleScope {
  readonly pool: Pool;
  readonly role: "mds_admin" | "mds_app";
  readonly timeoutMs: number;
}

/** One statement under a role, without a tenant, in a transaction of its own; its rows, once committed. */
export function runAsRole<Row>(scope: RoleScope, statement: Statement, signal?: AbortSignal): Promise<Row[]> {
  const begin = { text: SCOPE_SQL, values: [scope.role, "", String(scope.timeoutMs)] };
  return runTransaction(scope, begin, statement, signal);
}

/** One statement without a tenant, as mds_app where the login may and else as the login itself; its rows, once committed. */
export function runAsLogin<Row>(
  scope: Omit<RoleScope, "role">,
  statement: Statement,
  signal?: AbortSignal,
): Promise<Row[]> {
  return runTransaction(scope, { text: OWN_ROLE_SQL, values: [String(scope.timeoutMs)] }, statement, signal);
}

function runTransaction<Row>(
  scope: { readonly pool: Pool; readonly timeoutMs: number },
  begin: Statement,
  statement: Statement,
  signal: AbortSignal | undefined,
): Promise<Row[]> {
  return withClient(scope, signal, async (client) => {
    setPipelining(client, true);
    const answers = await Promise.allSettled([
      client.query("begin"),
      client.query(begin.text, begin.values as unknown[]),
      client.query(statement.text, statement.values as unknown[]),
      client.query("commit"),
    ]);
    setPipelining(client, false);
    if (answers[1].status === "rejected") throw asRoleMissing(answers[1].reason);
    for (const answer of answers) if (answer.status === "rejected") throw answer.reason;
    return (answers[2] as PromiseFulfilledResult<{ rows: Row[] }>).value.rows;
  });
}

/** What setting a role is refused with where there is none of that name: a server that never saw a migration. */
const NO_SUCH_ROLE = "22023";

function asRoleMissing(error: unknown): unknown {
  if ((error as { code?: string }).code !== NO_SUCH_ROLE) return error;
  return new StoreError("migration_pending", "The server lacks the store's roles; run `mds migrate`.", {
    cause: error,
  });
}

/** A read-only transaction with one snapshot, for pages that must agree with each other. Holds one connection. */
export interface ReadSession {
  /** The bytes of one `copy (…) to stdout (format binary)`; `query` holds no values but numbers. Has the scope's deadline. */
  copyOut(query: string): Promise<Buffer>;
  /** Ends the transaction and gives the connection back; a call that was cut short closes it. */
  close(): Promise<void>;
}

/** Begins a read-only transaction; whoever opens it closes it. */
export async function openReadSession(scope: TenantScope, signal?: AbortSignal): Promise<ReadSession> {
  return (await openReadSessionWith<object>(scope, undefined, signal)).session;
}

/** The same with a first statement, sent in one go with the beginning; its rows. */
export async function openReadSessionWith<Row extends object>(
  scope: TenantScope,
  first: Statement | undefined,
  signal?: AbortSignal,
): Promise<{ readonly session: ReadSession; readonly rows: readonly Row[] }> {
  const { client, rows } = await withRetry(() => beginRead<Row>(scope, first, signal), signal);
  return { session: sessionOn(client, scope, signal), rows };
}

function sessionOn(client: PoolClient, scope: TenantScope, signal: AbortSignal | undefined): ReadSession {
  let busy = false;
  let closed = false;
  return {
    copyOut: async (query) => {
      busy = true;
      const bytes = await withDeadline(client, scope.timeoutMs, signal, () => copyToBuffer(client, query));
      busy = false;
      return bytes;
    },
    close: async () => {
      if (closed) return;
      closed = true;
      const ended = busy
        ? false
        : await withDeadline(client, scope.timeoutMs, signal, () => client.query("commit")).then(
            () => true,
            () => false, // nothing was written, so nothing is lost with the connection
          );
      client.release(!ended);
    },
  };
}

async function beginRead<Row extends object>(
  scope: TenantScope,
  first: Statement | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly client: PoolClient; readonly rows: readonly Row[] }> {
  const client = await connect(scope, signal);
  const begin = { text: "begin isolation level repeatable read read only", values: [] };
  try {
    const answers = await withDeadline(client, scope.timeoutMs, signal, () =>
      inOneGo<Row>(client, [begin, beginTenant(scope), ...(first === undefined ? [] : [first])]),
    );
    return { client, rows: first === undefined ? [] : answers.at(-1)!.rows };
  } catch (error) {
    client.release(true);
    throw error;
  }
}

/** Statements that wait for no answer to those before; the first refusal is the one that counts. */
export async function inOneGo<Row extends object>(
  client: PoolClient,
  statements: readonly Statement[],
): Promise<readonly { rows: Row[] }[]> {
  setPipelining(client, true);
  const answers = await Promise.allSettled(
    statements.map(({ text, values }) => client.query<Row>(text, values as unknown[])),
  );
  setPipelining(client, false);
  return answers.map((answer) => {
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  });
}

async function copyToBuffer(client: PoolClient, query: string): Promise<Buffer> {
  const stream = client.query(pgCopyStreams.to(`copy (${query}) to stdout (format binary)`));
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

async function connect(scope: { readonly pool: Pool }, signal: AbortSignal | undefined): Promise<PoolClient> {
  if (signal?.aborted) throw stopped(signal);
  try {
    return await scope.pool.connect();
  } catch (error) {
    throw signal?.aborted ? stopped(signal) : toStoreError(error);
  }
}

/** Work on a connection of the pool, with the scope's deadline; one that may be in any state is closed afterwards. */
export async function withClient<T>(
  scope: { readonly pool: Pool; readonly timeoutMs: number },
  signal: AbortSignal | undefined,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await connect(scope, signal);
  let broken = true;
  try {
    const result = await withDeadline(client, scope.timeoutMs, signal, () => work(client));
    broken = false;
    return result;
  } catch (error) {
    // Refused rows and conflicts leave a clean connection; keep it.
    broken = !(error instanceof StoreError) || KEEPS_CONNECTION.has(error.code) === false;
    throw error;
  } finally {
    client.release(broken);
  }
}

const KEEPS_CONNECTION: ReadonlySet<string> = new Set([
  "series_unknown",
  "time_out_of_range",
  "constraint_violated",
  "partition_missing",
  "database_conflict",
  "tenant_refused",
  "migration_pending",
  "run_unknown",
  "run_finished",
  "policy_refused",
  "job_superseded",
]);

async function withDeadline<T>(
  client: PoolClient,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  let late = false;
  const cut = (): void => {
    (client as PoolClient & { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  };
  const timer = setTimeout(() => {
    late = true;
    cut();
  }, timeoutMs);
  signal?.addEventListener("abort", cut, { once: true });
  try {
    if (signal?.aborted) cut();
    return await work();
  } catch (error) {
    if (signal?.aborted) throw stopped(signal);
    if (late) {
      throw new StoreError("deadline_exceeded", `The database did not answer within ${timeoutMs} ms.`, {
        cause: error,
      });
    }
    throw toStoreError(error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cut);
  }
}

function stopped(signal: AbortSignal): StoreError {
  if (signal.reason instanceof StoreError) return signal.reason;
  return new StoreError("aborted", "The call was stopped by its caller.", { cause: signal.reason });
}
