/**
 * The registry's schemas in PostgreSQL, every version kept, in a schema of its own that is made when it is first needed:
 * the registry may have a database that knows nothing of the store. A version is never changed.
 */
import { identifier } from "../database/identifier.ts";
import { openConnection, openPool, type Pool } from "../database/pool.ts";
import { toStoreError } from "../database/sqlstate.ts";
import { StoreError } from "../errors/store-error.ts";
import { withDeadline } from "../resilience/with-deadline.ts";

/** One version, without its content. */
export interface SchemaVersionFacts {
  readonly track: string;
  readonly name: string;
  readonly version: number;
  readonly sha256: string;
  /** ISO 8601, UTC. */
  readonly updated_at: string;
}

export interface SchemaVersionRow extends SchemaVersionFacts {
  /** The schema as JSON. */
  readonly content: string;
}

interface SchemaVersionsOptions {
  readonly url: string;
  /** Direct connection that may make a schema; `url` unless given. */
  readonly adminUrl?: string;
  /** Told of connections that broke while nobody used them. */
  readonly onIdleError?: (error: Error) => void;
}

const MAX_CONNECTIONS = 5;
const CONNECT_TIMEOUT_MS = 5_000;
/** Every statement looks up or adds a row or a few. */
const STATEMENT_TIMEOUT_MS = 5_000;
/** Key of the advisory lock: the first bytes of "registry". */
const LOCK_KEY = 1_919_248_745;

const FACTS = `track, name, version, sha256,
  to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as updated_at`;

const TABLE_SQL = `create table if not exists registry.schemas (
  track text not null check (track ~ '^v[1-9][0-9]{0,2}$'),
  name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$'),
  version int4 not null check (version > 0),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  content text not null check (octet_length(content) <= 4194304),
  created_at timestamptz not null default now(),
  primary key (track, name, version)
)`;

export class SchemaVersions {
  readonly #options: SchemaVersionsOptions;
  readonly #pool: Pool;
  #prepared: Promise<void> | undefined;

  constructor(options: SchemaVersionsOptions) {
    this.#options = options;
    const { url, onIdleError } = options;
    this.#pool = openPool({
      url,
      applicationName: "mds registry",
      maxConnections: MAX_CONNECTIONS,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      ...(onIdleError && { onIdleError }),
    });
  }

  /** @throws StoreError when the database does not answer. */
  async ping(): Promise<void> {
    await this.#query("select 1", []);
  }

  /** The newest version of every schema. */
  newest(): Promise<SchemaVersionFacts[]> {
    const text = `select distinct on (track, name) ${FACTS} from registry.schemas order by track, name, version desc`;
    return this.#query(text, []);
  }

  /** One version, the newest unless another is asked for. */
  async find(track: string, name: string, version?: number): Promise<SchemaVersionRow | undefined> {
    const text = `select ${FACTS}, content from registry.schemas
      where track = $1 and name = $2 and ($3::int4 is null or version = $3) order by version desc limit 1`;
    const [row] = await this.#query<SchemaVersionRow>(text, [track, name, version ?? null]);
    return row;
  }

  /** Adds a version; undefined when somebody else has just added the one of this number. */
  async add(
    schema: Pick<SchemaVersionRow, "track" | "name" | "version" | "sha256" | "content">,
  ): Promise<SchemaVersionFacts | undefined> {
    const { track, name, version, sha256, content } = schema;
    const text = `insert into registry.schemas (track, name, version, sha256, content) values ($1, $2, $3, $4, $5)
      on conflict on constraint schemas_pkey do nothing returning ${FACTS}`;
    const [row] = await this.#query<SchemaVersionFacts>(text, [track, name, version, sha256, content]);
    return row;
  }

  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }

  async #query<Row extends object>(text: string, values: readonly unknown[]): Promise<Row[]> {
    try {
      this.#prepared ??= this.#prepare().catch((error: unknown) => {
        this.#prepared = undefined;
        throw error;
      });
      await this.#prepared;
      return (await withDeadline(STATEMENT_TIMEOUT_MS, () => this.#pool.query<Row>(text, [...values]))).rows;
    } catch (error) {
      throw withoutAddress(toStoreError(error));
    }
  }

  /** Makes what is not there yet, one maker at a time, and lets the registry's login use it. */
  async #prepare(): Promise<void> {
    const { rows } = await this.#pool.query<{ login: string; there: boolean }>(
      `select session_user::text as login, exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'registry' and c.relname = 'schemas' and has_schema_privilege(n.oid, 'usage')
          and has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
      ) as there`,
    );
    const { login, there } = rows[0]!;
    if (there) return;
    const client = await openConnection(
      this.#options.adminUrl ?? this.#options.url,
      "mds registry",
      CONNECT_TIMEOUT_MS,
    );
    try {
      await client.query(`set statement_timeout = ${STATEMENT_TIMEOUT_MS}`);
      await client.query("select pg_advisory_lock($1)", [LOCK_KEY]);
      const { rowCount } = await client.query("select from pg_namespace where nspname = 'registry'");
      if (rowCount === 0) await client.query("create schema registry");
      await client.query(TABLE_SQL);
      await client.query(`grant usage on schema registry to ${identifier(login)}`);
      await client.query(`grant select, insert on registry.schemas to ${identifier(login)}`);
    } catch (cause) {
      throw isRefused(cause) ? mayNotPrepare(cause) : cause;
    } finally {
      await client.end();
    }
  }
}

/** What clients are told; the cause has the rest, for the log. */
function withoutAddress(cause: StoreError): StoreError {
  if (!cause.retryable && cause.code !== "database_refused") return cause;
  const code = cause.status === 503 ? cause.code : "database_unavailable";
  return new StoreError(code, "The registry's database does not answer; try again later.", { cause });
}

function isRefused(error: unknown): boolean {
  return (error as { code?: string }).code === "42501";
}

function mayNotPrepare(cause: unknown): StoreError {
  const message =
    "This login may not make the schema registry in this database; set ADMIN_DATABASE_URL to one that may, for the first start.";
  return new StoreError("role_missing", message, { cause });
}
