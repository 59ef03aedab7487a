/**
 * Opens the job queue: pg-boss in schema `pgboss`, over a direct connection, as the owner of the store's schemas, so
 * that whoever administers the database later can go on with it. The library is loaded here and only when it is
 * needed: it costs 50 ms and 15 MB.
 */
import type { ConstructorOptions, PgBoss, Queue } from "pg-boss";
import { openDirectConnection } from "../database/direct-connection.ts";
import { OWNER_ROLE } from "../database/roles.ts";
import { toStoreError } from "../database/sqlstate.ts";
import { StoreError } from "../errors/store-error.ts";
import type { JobDefinition } from "./define-job.ts";
import { settleCalendar } from "./settle-calendar.ts";

/** How often the queue does what; tests make it quicker. */
export interface JobTiming {
  /** A job whose runner was not heard of for so long is taken up again; at least 10. */
  readonly heartbeatSeconds: number;
  /** How often such jobs are looked for. */
  readonly superviseSeconds: number;
  /** Wait before the second attempt; it doubles from there to MAX_RETRY_DELAY_SECONDS. */
  readonly retryDelaySeconds: number;
  /** How often schedules are looked at. */
  readonly cronSeconds: number;
  /** How often jobs that may begin are looked for. */
  readonly wakeMs: number;
}

/** A killed process's job goes on elsewhere within 15 + 5 + 10 + 1 seconds, mostly 25. */
export const TIMING: JobTiming = {
  heartbeatSeconds: 15,
  superviseSeconds: 5,
  retryDelaySeconds: 5,
  cronSeconds: 30,
  wakeMs: 1_000,
};

/** Schema of the queue; the migrator makes it. */
const SCHEMA = "pgboss";
export const DEFAULT_MAX_ATTEMPTS = 3;
const MAX_RETRY_DELAY_SECONDS = 600;
/** The longest that the queue allows an attempt; the next one goes on from the checkpoint. */
const ATTEMPT_SECONDS = 86_400;
const DAY_SECONDS = 86_400;
/** What has ended is shown for so long. */
const KEEP_ENDED_SECONDS = 30 * DAY_SECONDS;
/** What was accepted is never given up before it has run. */
const KEEP_WAITING_SECONDS = 3_650 * DAY_SECONDS;
/** The queue's statements are short and one at a time, except while jobs begin and end. */
const MAX_CONNECTIONS = 2;
const CONNECT_TIMEOUT_MS = 5_000;
/** Far above any statement of the queue's; a connection that has gone silent is given up after it. */
const STATEMENT_TIMEOUT_MS = 60_000;
const HOUR_SECONDS = 3_600;
const INSUFFICIENT_PRIVILEGE = "42501";

interface BossOptions {
  /** Direct connection of a login that may act as the owner. */
  readonly adminUrl: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Whether this process runs jobs, looks after lost ones and watches schedules; else it only accepts and changes jobs. */
  readonly works: boolean;
  readonly timing: JobTiming;
  readonly onError: (error: Error) => void;
  /** Of what the queue sees that is not well: a backlog, slow statements, a clock that differs from the server's. */
  readonly onWarning: (message: string) => void;
}

/** @throws StoreError `config_invalid` behind a pooler, `migration_pending`, `database_unavailable`, `database_refused`. */
export async function openBoss(bossOptions: BossOptions): Promise<PgBoss> {
  const { adminUrl, applicationName, works, timing, onError, onWarning } = bossOptions;
  await refusePoolerOf(adminUrl);
  const { PgBoss: Boss } = await import("pg-boss");
  settleCalendar();
  const options: ConstructorOptions & { keepAlive: boolean; query_timeout: number } = {
    connectionString: asOwner(adminUrl),
    application_name: applicationName,
    schema: SCHEMA,
    createSchema: false,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    query_timeout: STATEMENT_TIMEOUT_MS,
    supervise: works,
    schedule: works,
    superviseIntervalSeconds: timing.superviseSeconds,
    monitorIntervalSeconds: timing.superviseSeconds,
    maintenanceIntervalSeconds: HOUR_SECONDS,
    cronMonitorIntervalSeconds: timing.cronSeconds,
    cronWorkerIntervalSeconds: Math.min(10, timing.cronSeconds),
    // Jobs do not depend on each other here, so there is nothing to look for.
    flowIntervalSeconds: HOUR_SECONDS,
    // The tables are small, and the server's own vacuum sees to them.
    reindex: false,
    monitorVacuum: false,
    // It would watch the event loop and read /proc for what /metrics has already.
    registerInstance: false,
    openTelemetry: { enabled: false },
  };
  const boss = new Boss(options);
  boss.on("error", onError).on("warning", ({ message }) => onWarning(message));
  try {
    return await boss.start();
  } catch (error) {
    await boss.stop({ graceful: false }).catch(() => undefined); // the first error is the one that counts
    throw (error as { code?: string }).code === INSUFFICIENT_PRIVILEGE ? notTheOwner(error) : toStoreError(error);
  }
}

function notTheOwner(cause: unknown): StoreError {
  return new StoreError(
    "role_missing",
    `This login may not act as ${OWNER_ROLE}, to whom the job queue belongs; set ADMIN_DATABASE_URL to the login that migrates.`,
    { cause },
  );
}

/** How the queue treats the jobs of this definition. */
export function queueOptions(
  { maxAttempts = DEFAULT_MAX_ATTEMPTS }: Pick<JobDefinition, "maxAttempts">,
  { heartbeatSeconds, retryDelaySeconds }: JobTiming,
): Omit<Queue, "name" | "policy" | "partition" | "deadLetter"> {
  return {
    retryLimit: maxAttempts - 1,
    retryDelay: retryDelaySeconds,
    retryBackoff: true,
    retryDelayMax: MAX_RETRY_DELAY_SECONDS,
    heartbeatSeconds,
    expireInSeconds: ATTEMPT_SECONDS,
    deleteAfterSeconds: KEEP_ENDED_SECONDS,
    retentionSeconds: KEEP_WAITING_SECONDS,
  };
}

/** The same URL with what its sessions begin with. */
function asOwner(adminUrl: string): string {
  const url = new URL(adminUrl);
  const given = url.searchParams.get("options") ?? "";
  url.searchParams.set("options", `${given} -c role=${OWNER_ROLE} -c statement_timeout=${STATEMENT_TIMEOUT_MS}`.trim());
  return url.href;
}

async function refusePoolerOf(adminUrl: string): Promise<void> {
  try {
    await (await openDirectConnection(adminUrl, "mds jobs", CONNECT_TIMEOUT_MS)).end();
  } catch (error) {
    throw toStoreError(error);
  }
}
