/**
 * Runs statements as a visitor and writes down everything that comes back: rows, copied bytes, notices, and every field
 * of an error. Then looks for the marks of tenants that the visitor must not see.
 */
import pg from "pg";
import pgCopyStreams from "pg-copy-streams";
import { loginUrl } from "../support/test-database.ts";
import { type Arena, DATASETS, MARKS, SLUGS, TENANTS } from "./arena.ts";
import type { Visitor } from "./visitors.ts";

export interface Transcript {
  readonly statements: readonly string[];
  /** Rows of each statement that was answered. */
  readonly answers: readonly (readonly unknown[])[];
  readonly notices: readonly string[];
  /** All fields of the error that ended it. */
  readonly error: Readonly<Record<string, unknown>> | undefined;
}

/** Faults of the server or of our own text, which no input may lead to. */
const CRASHES = /^(XX|58|57P|42601|57014|42P0[12]|42883|22004|53)/;
/** As the server writes it: the driver's dates would lose the digits after milliseconds. */
const AS_TEXT = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig;
const NO_TENANT = "00000000-0000-0000-0000-000000000000";
const ERROR_FIELDS = [
  "code",
  "message",
  "detail",
  "hint",
  "where",
  "internalQuery",
  "schema",
  "table",
  "column",
  "dataType",
  "constraint",
] as const;

/** The connections of the visitors, each opened at its first use. */
export class Visits {
  readonly #arena: Arena;
  readonly #clients = new Map<string, pg.Client>();
  readonly #sums = new Map<string, string>();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** In one transaction, which is rolled back unless `commit`; a failed statement ends it. */
  async run(
    visitor: Visitor,
    statements: readonly string[],
    { commit = false, bare = false }: { commit?: boolean; bare?: boolean } = {},
  ): Promise<Transcript> {
    const client = await this.#client(visitor.login);
    const notices: string[] = [];
    const onNotice = (notice: object): void => void notices.push(JSON.stringify(notice));
    await client.query("rollback");
    await client.query("discard all");
    for (const statement of visitor.before(this.#arena)) await client.query(statement);
    client.on("notice", onNotice);
    const answers: unknown[][] = [];
    let error: Record<string, unknown> | undefined;
    try {
      if (!bare) await client.query("begin");
      for (const statement of statements) answers.push(await answerOf(client, statement));
      if (!bare) await client.query(commit ? "commit" : "rollback");
    } catch (thrown) {
      error = Object.fromEntries(ERROR_FIELDS.map((field) => [field, (thrown as Record<string, unknown>)[field]]));
    }
    client.off("notice", onNotice);
    return { statements, answers, notices, error };
  }

  /** The rows of others as they were before the visitor's first call; none of its calls may change them. */
  async othersBefore(visitor: Visitor): Promise<string> {
    const known = this.#sums.get(visitor.name);
    if (known !== undefined) return known;
    const sum = await fingerprint(this.#arena, visitor);
    this.#sums.set(visitor.name, sum);
    return sum;
  }

  async close(): Promise<void> {
    for (const client of this.#clients.values()) await client.end();
  }

  async #client(login: string): Promise<pg.Client> {
    const known = this.#clients.get(login);
    if (known !== undefined) return known;
    const { database } = this.#arena;
    const url = login === "superuser" ? database.adminUrl : login === "" ? database.url : loginUrl(database, login);
    const client = new pg.Client({ connectionString: url, types: AS_TEXT });
    client.on("error", () => {});
    await client.connect();
    this.#clients.set(login, client);
    return client;
  }
}

async function answerOf(client: pg.Client, statement: string): Promise<unknown[]> {
  if (!/^copy .* to stdout/s.test(statement)) {
    const result = (await client.query(statement)) as pg.QueryResult | pg.QueryResult[];
    return [result].flat().flatMap(({ rows }) => rows);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of client.query(pgCopyStreams.to(statement))) chunks.push(chunk as Buffer);
  return chunks.map((chunk) => chunk.toString("latin1"));
}

/** The SQLSTATE with which it ended, if it ended with an error. */
export function sqlstateOf({ error }: Transcript): string | undefined {
  const code = error?.["code"];
  return typeof code === "string" ? code : undefined;
}

/** All that came back, as one text. */
export function textOf({ answers, notices, error }: Omit<Transcript, "statements">): string {
  return JSON.stringify({ answers, notices, error }, (_, value) => (typeof value === "bigint" ? String(value) : value));
}

/** What gives tenants away that are not the visitor's, and was found in the text. */
export function leaksIn(text: string, arena: Arena, visitor: Visitor): string[] {
  const foreign = TENANTS.filter((name) => name !== visitor.tenant);
  const marks = [...foreign.flatMap((name) => MARKS[name]), ...(visitor.isAdmin ? [] : MARKS.system)];
  const identities = visitor.isAdmin ? [] : foreign.flatMap((name) => [SLUGS[name], arena.ids[name]]);
  // Now and then the server's clock has a mark's digits behind the second, or a printed plan in one of its hashes.
  const today = new Date().getUTCFullYear();
  const lower = text
    .toLowerCase()
    .replace(new RegExp(`(${today}-\\d\\d-\\d\\d[ t]\\d\\d:\\d\\d:\\d\\d)\\.\\d+`, "g"), "$1")
    .replace(/:hashvalue \d+/g, "");
  return [...marks, ...identities].filter((mark) => lower.includes(mark));
}

/** Throws, with what a person needs to repeat it, when the transcript shows what it must not. */
export function expectNoLeak(transcript: Transcript, arena: Arena, visitor: Visitor): void {
  const text = textOf(transcript);
  const leaks = leaksIn(text, arena, visitor);
  if (leaks.length > 0) throw new Error(report(`${visitor.name} saw ${leaks.join(", ")}`, transcript, text, leaks[0]!));
  const code = sqlstateOf(transcript) ?? "";
  if (CRASHES.test(code) && visitor.toleratesFaults !== true)
    throw new Error(report(`${visitor.name} met a fault, ${code}`, transcript, text, code));
}

export function report(what: string, { statements }: Transcript, text: string, around: string): string {
  const at = text.toLowerCase().indexOf(around);
  return `${what}\n  by: ${statements.join(";\n      ").slice(0, 2_000)}\n  in: …${text.slice(Math.max(0, at - 200), at + 300)}…`;
}

/** A sum over every row that is not of the visitor's tenant, and over what belongs to no tenant. */
export async function fingerprint({ database, ids }: Arena, { tenant }: Visitor): Promise<string> {
  const parts = [
    ...DATASETS.flatMap((name) => [
      `select md5(string_agg(d::text, '|' order by d::text)) as sum from store.${name}_data d
       where d.series_id not in (select series_id from store.${name}_series where tenant_id = $1)`,
      `select md5(string_agg(s::text, '|' order by s::text)) from store.${name}_series s where s.tenant_id <> $1`,
    ]),
    "select md5(string_agg(r::text, '|' order by r::text)) from store.job_runs r where r.tenant_id is distinct from $1",
    ...["tenants", "role_tenants", "settings", "schema_migrations"].map(
      (table) =>
        `select md5(string_agg(t::text, '|' order by t::text)) from store.${table} t where $1::uuid is not null`,
    ),
  ];
  const rows = await database.sql<{ sum: string }>(parts.join(" union all "), [
    tenant === undefined ? NO_TENANT : ids[tenant],
  ]);
  return rows.map(({ sum }) => sum).join();
}
