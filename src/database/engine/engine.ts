/**
 * The port to what differs between databases that can hold the store: time partitions, retention, compression and
 * aggregates; and the table of what each engine can do. Which one a database has is decided when it is first migrated
 * (detect-engine.ts) and read from it ever after (open-engine.ts).
 */

const ENGINE_NAMES = ["plain", "timescale", "citus"] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** How an engine does a thing, or why it does not. */
export type Capability =
  | { readonly able: true; readonly how: string }
  | { readonly able: false; readonly reason: string };

export interface EngineCapabilities {
  readonly partitions: Capability;
  readonly retention: Capability;
  readonly compression: Capability;
  readonly aggregates: Capability;
}

/** What each engine can do; null: this version of the store does not have it yet. */
export const CAPABILITIES = {
  plain: {
    partitions: { able: true, how: "declarative ranges of time, made ahead and on demand" },
    retention: { able: true, how: "whole partitions are detached beside all other work, counted and dropped" },
    compression: {
      able: false,
      reason: "The plain engine keeps rows as they are: PostgreSQL itself has no compressed tables that take upserts.",
    },
    aggregates: { able: true, how: "tables of their own, worked out anew where rows have changed" },
  },
  timescale: {
    partitions: { able: true, how: "chunks of a hypertable, which makes them itself" },
    retention: { able: true, how: "whole chunks are counted and dropped" },
    compression: { able: true, how: "older chunks go into the columnstore, by a job of TimescaleDB's own too" },
    aggregates: { able: true, how: "hypertables of their own, worked out anew where rows have changed" },
  },
  citus: null,
} as const satisfies Readonly<Record<EngineName, EngineCapabilities | null>>;

/** A quarter of a year of months: the job that makes partitions may stand still for weeks before a writer notices. */
export const PERIODS_AHEAD = 3;

/** A time range of a dataset in a table of its own. Times are ISO 8601 in UTC with six digits. */
export interface Partition {
  readonly dataset: string;
  /** The table's name, without its schema. */
  readonly partition: string;
  readonly range_start: string;
  /** Exclusive. */
  readonly range_end: string;
}

/** A partition that retention would drop. The counts are null where they were not asked for. */
export interface DuePartition extends Partition {
  readonly rows: number | null;
  /** Earliest and latest time of its rows; null also when it has none. */
  readonly first_time: string | null;
  readonly last_time: string | null;
}

/** What retention would drop, oldest first. */
export interface RetentionPlan {
  /** The database's time when it was made. */
  readonly planned_at: string;
  /** From when ages are reckoned; the same unless the caller named another time. */
  readonly as_of: string;
  readonly partitions: readonly DuePartition[];
  /** How many more are due than a plan lists; the next one has them. */
  readonly more: number;
}

/** A partition that is gone, with exactly what was in it. */
export interface DroppedPartition extends DuePartition {
  readonly rows: number;
  /** Until its rows were out of sight; null when an earlier attempt had begun. */
  readonly detach_ms: number | null;
  /** Until its files were gone, which no lock waits for; null when an earlier attempt did it. */
  readonly drop_ms: number | null;
}

/** What became of compression, dataset by dataset. */
export interface CompressionReport {
  readonly compressed: readonly Partition[];
  /** Datasets whose policy asks for it, and why they are not compressed. */
  readonly skipped: readonly { readonly dataset: string; readonly reason: string }[];
}

interface DatasetsOption {
  /** All unless given. */
  readonly datasets?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface MakePartitionsOptions extends DatasetsOption {
  /** How many periods after the current one. */
  readonly periodsAhead: number;
}

export interface PlanRetentionOptions extends DatasetsOption {
  /** From when ages are reckoned, ISO 8601; the database's time unless given. */
  readonly now?: string;
  /** Whether rows are counted, which reads them all; true unless given. */
  readonly countRows?: boolean;
}

export interface ApplyRetentionOptions {
  /** Looked at between partitions as well as within. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each partition once it is gone, before the next one is touched. */
  readonly onDropped?: (dropped: DroppedPartition) => Promise<void>;
}

/**
 * What every engine does. Each call opens and closes its own direct connection; two retentions never run at once.
 * All throw StoreErrors: `policy_refused` for an unknown dataset, `database_conflict` when something else was in the
 * way for too long, `aborted`, `role_missing`, and what else a database may say.
 */
export interface Engine {
  readonly name: EngineName;
  readonly capabilities: EngineCapabilities;
  /** Makes the current and the next periods, where nobody else does; answers with what was not there yet. */
  makePartitions(options: MakePartitionsOptions): Promise<Partition[]>;
  /** What the policies no longer keep: whole partitions that end at or before now - keep_for. Changes nothing. */
  planRetention(options?: PlanRetentionOptions): Promise<RetentionPlan>;
  /**
   * Drops what the plan lists and the policies still do not keep, and nothing else. May be repeated after a crash at
   * any point: what an attempt began is finished, and what one dropped is told again.
   */
  applyRetention(plan: RetentionPlan, options?: ApplyRetentionOptions): Promise<DroppedPartition[]>;
  /** Compresses what the policies want compressed. */
  compress(options?: DatasetsOption): Promise<CompressionReport>;
}
