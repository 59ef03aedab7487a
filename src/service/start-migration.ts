/**
 * Brings the database's schema up to date when the service starts. A database that is away is tried again for as long
 * as it takes, with growing waits; a migration that failed or was altered needs a person and is not tried again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { ErrorCode } from "../errors/codes.ts";
import { StoreError } from "../errors/store-error.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { ServiceDatabase } from "./service-database.ts";

const FIRST_WAIT_MS = 250;
/** Long enough not to disturb a database that recovers, short enough to be ready soon after it has. */
const LONGEST_WAIT_MS = 2_000;

const NEEDS_A_PERSON: ReadonlySet<ErrorCode> = new Set([
  "engine_refused",
  "migration_altered",
  "migration_failed",
  "migration_unknown",
  "role_missing",
]);

/** How far it is: under way or waiting for the database, done (or not asked for), or ended by a fault. */
export type MigrationProgress =
  | { readonly kind: "waiting" }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly code: ErrorCode };

interface StartMigrationOptions {
  readonly database: Pick<ServiceDatabase, "migrate">;
  readonly log: Logger;
  /** Ends the attempts. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: MigrationProgress) => void;
  readonly onApplied: (migrations: number) => void;
  /** Waits between attempts; given by tests. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

const waitOnTheClock = (ms: number, signal: AbortSignal): Promise<unknown> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);

/** Ends when the schema is up to date, a person is needed, or the signal is aborted; never throws. */
export async function startMigration(options: StartMigrationOptions): Promise<void> {
  const { signal, onProgress, wait = waitOnTheClock } = options;
  for (let attempt = 0; !signal.aborted; attempt++) {
    const progress = await migrateOnce(options);
    if (signal.aborted) return;
    onProgress(progress);
    if (progress.kind !== "waiting") return;
    await wait(waitMs(attempt), signal);
  }
}

async function migrateOnce({ database, log, signal, onApplied }: StartMigrationOptions): Promise<MigrationProgress> {
  try {
    const { applied } = await database.migrate(signal);
    onApplied(applied);
    if (applied > 0) log.info({ applied }, "The database was migrated.");
    return { kind: "done" };
  } catch (err) {
    const code = err instanceof StoreError ? err.code : "internal";
    if (NEEDS_A_PERSON.has(code)) {
      log.error({ err }, "The migration failed and needs a person. The service goes on as unhealthy.");
      return { kind: "failed", code };
    }
    log.debug({ err }, "The database cannot be migrated yet.");
    return { kind: "waiting" };
  }
}

/** Doubles up to the longest wait. A fifth is left to chance, so that replicas do not come back as one. */
function waitMs(attempt: number): number {
  const doubled = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 16));
  return doubled * (0.8 + 0.2 * Math.random());
}
