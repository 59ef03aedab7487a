/** What the service needs of a database. The real one is in `src/database/`; the service's own tests use a small fake. */
import type { SchemaVersion } from "../contracts/schema-version.ts";
import type { AdminScope } from "../database/tenants.ts";
import type { PoolCounts } from "../telemetry/metrics.ts";

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
  /** The pool for what the administration does with tenants, tokens and keys. */
  admin(signal: AbortSignal): Promise<AdminScope>;
  poolCounts(): PoolCounts;
  close(): Promise<void>;
}
