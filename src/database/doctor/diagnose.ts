/**
 * Looks a database over and says what is not as it should be, and how to mend each. Looking changes nothing; with `fix`
 * it does what is safe, says what that was, and looks again.
 */
import { messageOf } from "../../errors/store-error.ts";
import { type Connection, openConnection } from "../pool.ts";
import { OWNER_ROLE } from "../roles.ts";
import { toStoreError } from "../sqlstate.ts";
import { checkDrift } from "./check-drift.ts";
import { checkMigrations } from "./check-migrations.ts";
import { checkRoles } from "./check-roles.ts";
import { checkEngine, checkJobs, checkServer } from "./check-server.ts";
import { checkBloat, checkDetaching, checkIndexes, checkPartitions } from "./check-tables.ts";
import { checkTimescale } from "./check-timescale.ts";
import type { AskOptions, Check, DoctorOptions, Examination, Finding } from "./finding.ts";

const CONNECT_TIMEOUT_MS = 5_000;
/** Catalogs with thousands of partitions take a second; more is a lock. */
const STATEMENT_TIMEOUT_MS = 10_000;
/** What was mended may uncover something else: roles, then the rights of these. */
const MAX_FIX_ROUNDS = 3;

/** These can be told of any server. */
const SERVER_CHECKS: readonly Check[] = [checkServer, checkRoles, checkMigrations];
/** These need the schema that this version knows. */
const STORE_CHECKS: readonly Check[] = [
  checkDrift,
  checkEngine,
  checkTimescale,
  checkPartitions,
  checkDetaching,
  checkIndexes,
  checkBloat,
  checkJobs,
];
/** With one of these, the other checks would report what follows from it. */
const BLOCKING = new Set(["migration_pending", "migration_unknown", "role_missing", "membership_missing"]);

/** Something that was mended, or could not be. */
interface Mended {
  readonly code: string;
  readonly done: boolean;
  /** What was done, or why it was not. */
  readonly message: string;
}

export interface Diagnosis {
  /** What is wrong now, errors first. */
  readonly findings: readonly Finding[];
  readonly mended: readonly Mended[];
}

/**
 * @throws StoreError when the database cannot be reached with one of the two logins.
 */
export async function diagnose(options: DoctorOptions, { fix = false } = {}): Promise<Diagnosis> {
  const mended: Mended[] = [];
  let findings = await examine(options);
  for (let round = 0; fix && round < MAX_FIX_ROUNDS; round++) {
    const open = findings.filter(
      (finding) => finding.fix !== undefined && !mended.some(({ code, done }) => code === finding.code && !done),
    );
    if (open.length === 0) break;
    for (const finding of open) mended.push(await mend(finding));
    findings = await examine(options);
  }
  return { findings, mended };
}

async function mend({ code, fix }: Finding): Promise<Mended> {
  try {
    return { code, done: true, message: await fix!() };
  } catch (error) {
    return { code, done: false, message: `Not mended: ${messageOf(error)}` };
  }
}

async function examine(options: DoctorOptions): Promise<Finding[]> {
  const opened: Connection[] = [];
  const open = async (url: string): Promise<Connection> => {
    const client = await openConnection(url, "mds doctor", CONNECT_TIMEOUT_MS);
    opened.push(client);
    return client;
  };
  const cut = (): void => {
    for (const client of opened) {
      (client as Connection & { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    }
  };
  try {
    options.signal?.addEventListener("abort", cut, { once: true });
    options.signal?.throwIfAborted();
    const admin = await open(options.adminUrl);
    const service = await open(options.serviceUrl);
    return await runChecks({ ...options, admin, service, ask: (...args) => ask(admin, ...args) });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw toStoreError(error);
  } finally {
    options.signal?.removeEventListener("abort", cut);
    await Promise.all(opened.map((client) => client.end().catch(() => undefined)));
  }
}

async function runChecks(examination: Examination): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const check of SERVER_CHECKS) findings.push(...(await check(examination)));
  if (!findings.some(({ code }) => BLOCKING.has(code))) {
    for (const check of STORE_CHECKS) findings.push(...(await checked(check, examination)));
  }
  return findings.sort((a, b) => Number(b.severity === "error") - Number(a.severity === "error"));
}

/** A schema that has drifted may keep a check from its work; the others go on. */
async function checked(check: Check, examination: Examination): Promise<Finding[]> {
  try {
    return await check(examination);
  } catch (error) {
    const cause = toStoreError(error);
    if (cause.code === "database_unavailable") throw cause;
    const message = `A check could not be made: ${cause.message}.`.replace(/\.\.$/, ".");
    const remedy = "Mend what else was found, and look again.";
    return [{ code: "check_failed", severity: "error", message, remedy }];
  }
}

/** Settings hold for the transaction alone: there may be a pooler in between. */
async function ask<Row extends object>(
  client: Connection,
  text: string,
  values: readonly unknown[] = [],
  { asOwner = false }: AskOptions = {},
): Promise<Row[]> {
  await client.query("begin read only");
  try {
    await client.query(`set local statement_timeout = ${STATEMENT_TIMEOUT_MS}`);
    if (asOwner) await client.query(`set local role ${OWNER_ROLE}`);
    await client.query("set local timezone = 'UTC'");
    return (await client.query<Row>(text, [...values])).rows;
  } finally {
    await client.query("rollback").catch(() => undefined); // what failed before is what counts
  }
}
