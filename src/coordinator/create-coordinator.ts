/**
 * A coordinator for those who use the library: over a store or a database of its own, with dead letters, and with a
 * spool where one is given. Whoever creates it stops it; what was opened here is closed then.
 */
import type { InputRow } from "../datasets/dataset.ts";
import type { DATASETS, DatasetName } from "../datasets/registry.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import { openSinks, type SinkTarget } from "../sinks/open-sinks.ts";
import type { RowCounts } from "./accounts.ts";
import { type CoordinatorOptions, resolveTuning } from "./coordinator-options.ts";
import { DeadLetterWriter } from "./dead-letters/dead-letter-writer.ts";
import type { CoordinatorHealth } from "./health.ts";
import { openSpool } from "./spool/open-spool.ts";
import type { SpoolLog } from "./spool/spool-log-port.ts";
import type { StopOptions, StopReport } from "./stop-lanes.ts";
import { type SubmitOptions, WriteCoordinator } from "./write-coordinator.ts";

/** Where the rows go, and how. */
export type CreateCoordinatorOptions = SinkTarget &
  Omit<CoordinatorOptions, "sinks" | "tenantId" | "deadLetters" | "spool" | "onStopped"> & {
    /** Folder for rows that cannot be stored; `.mds/dead-letters` unless given. `mds dlq` shows and replays them. */
    readonly deadLetterDir?: string;
    /**
     * Makes acceptance durable: rows survive kill -9 and hours without a database. A folder of its own, for one process
     * at a time, and the bytes that it may take; 4 GiB unless given.
     */
    readonly spool?: { readonly dir: string; readonly maxBytes?: number };
  };

type RowOf<Name extends DatasetName> = InputRow<(typeof DATASETS)[Name]>;

/** What a program holds of a coordinator. */
export interface Coordinator {
  /** Resolves when the row is accepted; see `submitMany`. */
  submit<Name extends DatasetName>(dataset: Name, row: RowOf<Name>, options?: SubmitOptions): Promise<void>;
  /**
   * Resolves when all rows are accepted: held in memory or, with a spool, on disk. Wait for it before the next call, or
   * the queue's bound means nothing to you. The rows must not be changed from then on.
   *
   * @throws StoreError `queue_full`, `shutting_down`, `aborted`, and those of the spool; `details.accepted` says how many
   *   rows, from the first, were accepted all the same.
   */
  submitMany<Name extends DatasetName>(
    dataset: Name,
    rows: readonly RowOf<Name>[],
    options?: SubmitOptions,
  ): Promise<void>;
  /**
   * Resolves when every row accepted before is in the database or in the dead letters; says what became of the rows that
   * were done since the flush before.
   */
  flush(options?: { readonly signal?: AbortSignal }): Promise<RowCounts>;
  /** Writes what it can within the time, hands on the rest, closes what was opened, and says how much was left. */
  stop(options?: StopOptions): Promise<StopReport>;
  health(): CoordinatorHealth;
  [Symbol.asyncDispose](): Promise<void>;
}

type KeysOf<Union> = Union extends Union ? keyof Union : never;
const OPTIONS = fieldsOf<Record<Exclude<KeysOf<CreateCoordinatorOptions>, "clock" | "random">, true>>({
  store: true,
  url: true,
  tenant: true,
  timeoutMs: true,
  applicationName: true,
  deadLetterDir: true,
  spool: true,
  capacity: true,
  workers: true,
  batchRows: true,
  flushIntervalMs: true,
  highWatermark: true,
  lowWatermark: true,
  overflow: true,
  retry: true,
  breaker: true,
  id: true,
  feedback: true,
  metrics: true,
  log: true,
});
const DEFAULT_DEAD_LETTER_DIR = ".mds/dead-letters";
const DEFAULT_SPOOL_BYTES = 4 * 1_073_741_824;

/**
 * @example
 * const coordinator = await createCoordinator({ url });
 * await coordinator.submit("bars", bar);
 * await coordinator.stop();
 *
 * @throws StoreError `tenant_unknown`, `database_unavailable`, `database_refused`, `migration_pending`; `spool_in_use`,
 *   `spool_unavailable`; `usage` for options that are out of their range or contradict each other.
 */
export async function createCoordinator(options: CreateCoordinatorOptions): Promise<Coordinator> {
  requireFields("createCoordinator", options, OPTIONS, ["clock", "random"]);
  const { spool, deadLetterDir = DEFAULT_DEAD_LETTER_DIR, ...rest } = options;
  if (spool !== undefined) requireFields("spool", spool, ["dir", "maxBytes"]);
  requireFolder("deadLetterDir", deadLetterDir);
  if (spool !== undefined) requireFolder("spool.dir", spool.dir);
  const { workers, batchRows } = resolveTuning({ ...rest, hasSpool: spool !== undefined });
  const opened = await openSinks(options, { workers, batchRows, metrics: options.metrics });
  const deadLetters = new DeadLetterWriter({ folder: deadLetterDir });
  let log: SpoolLog | undefined;
  const onStopped = async (): Promise<void> => {
    await Promise.allSettled([log?.close(), deadLetters.close(), opened.close()]);
  };
  try {
    log =
      spool && (await openSpool({ folder: spool.dir, maxBytes: spool.maxBytes ?? DEFAULT_SPOOL_BYTES, log: QUIET }));
    const { sinks, tenantId } = opened;
    return new WriteCoordinator({ ...rest, sinks, tenantId, deadLetters, spool: log, onStopped });
  } catch (error) {
    await onStopped();
    throw error;
  }
}

function requireFolder(name: string, folder: unknown): void {
  if (typeof folder === "string" && folder !== "") return;
  throw new StoreError("usage", `${name} is ${showValue(folder)}; it must be the path of a folder.`);
}

const ignore = (): void => undefined;
const QUIET = { info: ignore, warn: ignore, error: ignore };
