/** What the service needs of a database. The real one is in `src/database/`; the service's own tests use a small fake. */
import type { PoolCounts } from "../telemetry/metrics.ts";

/** The state of the database's schema, as `/schema/version` shows it. */
export interface SchemaVersion {
  /** Number of the newest applied migration; 0 for none. */
  readonly version: number;
  /** When it was applied, ISO 8601. */
  readonly applied_at: string | null;
  /** Migrations of this version of the store that are not applied. */
  readonly pending: number;
  /** False when an applied migration was altered, or is none of this version's. */
  readonly checksum_ok: boolean;
  /** The engine that the first migration recorded; null before. */
  readonly engine: string | null;
  readonly engine_version: string;
}

/** The port. Every call ends, at the latest by throwing, soon after its signal is aborted. */
export interface ServiceDatabase {
  /** Throws a StoreError when the database does not answer. Uses a pooled connection, never opens a new pool. */
  ping(signal: AbortSignal): Promise<void>;
  /** Reads the state of the schema from the database. */
  schemaVersion(signal: AbortSignal): Promise<SchemaVersion>;
  /**
   * Applies what is pending, under a lock. Throws a StoreError: `migration_…` and `role_missing` need a person, any
   * other may go away by itself.
   */
  migrate(signal: AbortSignal): Promise<{ readonly applied: number }>;
  poolCounts(): PoolCounts;
  close(): Promise<void>;
}
