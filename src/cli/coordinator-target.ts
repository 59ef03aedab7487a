/**
 * Takes a file's rows through a coordinator with a spool: what was accepted survives the process and an outage of the
 * database. Lines that cannot be rows are rejected as ever; rows that only the database refuses go to the dead letters.
 * When it is told to stop it stores what it can; what is left stays in the spool, for the next run or the service.
 */
import type { Store } from "../client/open-store.ts";
import type { UpsertOptions, UpsertResult } from "../client/upsert.ts";
import { deadLetterFolder, spoolPlace } from "../config/data-folders.ts";
import type { Config } from "../config/settings.ts";
import { coordinatorTuning } from "../coordinator/coordinator-options.ts";
import { type Coordinator, createCoordinator } from "../coordinator/create-coordinator.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { RowBatch } from "../datasets/derive/row-batch.ts";
import { RowCheck } from "../datasets/derive/row-check.ts";
import type { DatasetName } from "../datasets/registry.ts";
import { StoreError } from "../errors/store-error.ts";
import type { IngestTarget } from "../files/ingest-file.ts";

type Row = Readonly<Record<string, unknown>>;

/**
 * Opens the spool of the settings.
 * @throws StoreError `spool_in_use` while a service or another run has it; `spool_unavailable`.
 */
export async function openCoordinatorTarget(
  store: Store,
  dataset: DatasetShape,
  config: Config,
  signal: AbortSignal,
): Promise<CoordinatorTarget> {
  const { folder, maxBytes } = spoolPlace(config);
  const coordinator = await createCoordinator({
    ...coordinatorTuning(config),
    store,
    deadLetterDir: deadLetterFolder(config),
    spool: { dir: folder, maxBytes },
  });
  return new CoordinatorTarget(coordinator, dataset, signal);
}

export class CoordinatorTarget implements IngestTarget {
  readonly dataset: DatasetShape;
  /** Rows that an earlier process left in the spool. */
  readonly fromBefore: number;
  readonly #coordinator: Coordinator;
  readonly #signal: AbortSignal;
  readonly #noRows: RowBatch;
  #deadLettered = 0;
  #inSpool = 0;

  constructor(coordinator: Coordinator, dataset: DatasetShape, signal: AbortSignal) {
    this.#coordinator = coordinator;
    this.#signal = signal;
    this.dataset = dataset;
    this.fromBefore = coordinator.health().spool?.depth ?? 0;
    this.#noRows = new RowBatch(dataset, 1);
  }

  /** Rows that the database refused. */
  get deadLettered(): number {
    return this.#deadLettered;
  }

  /** Rows that were left in the spool, once it is closed. */
  get inSpool(): number {
    return this.#inSpool;
  }

  /** Stores what is there from before, so that it is in nobody's counts. */
  async resume(): Promise<void> {
    if (this.fromBefore > 0) await this.#stored();
  }

  /** Rows that were read before the source failed are stored all the same. */
  async upsert(rows: AsyncIterable<readonly never[]>, options: UpsertOptions = {}): Promise<UpsertResult> {
    const before = this.#coordinator.health().rows;
    const result = { inserted: 0, updated: 0, unchanged: 0, superseded: 0, rejected: 0, rejections: [] };
    const tell = (): void => {
      const { rows: now } = this.#coordinator.health();
      for (const name of ["inserted", "updated", "unchanged", "superseded"] as const) {
        result[name] = now[name] - before[name];
      }
      options.onBatch?.(result, this.#noRows);
    };
    try {
      await this.#submitAll(rows as AsyncIterable<readonly Row[]>, options, result, tell);
    } finally {
      await this.#stored();
      this.#deadLettered += this.#coordinator.health().rows.deadLettered - before.deadLettered;
      tell();
    }
    return result;
  }

  /** Closes spool and dead letters. */
  async close(): Promise<void> {
    this.#inSpool = (await this.#coordinator.stop()).inSpool;
  }

  /** Resolves when all rows are stored or, after the signal, when the time for that is over. */
  async #stored(): Promise<void> {
    const stop = (): void => void this.#coordinator.stop();
    this.#signal.addEventListener("abort", stop, { once: true });
    if (this.#signal.aborted) stop();
    try {
      await this.#coordinator.flush();
    } catch (error) {
      // They stay in the spool, which is told when it is closed.
      if (!(error instanceof StoreError && error.code === "shutting_down")) throw error;
    } finally {
      this.#signal.removeEventListener("abort", stop);
    }
  }

  async #submitAll(
    rows: AsyncIterable<readonly Row[]>,
    options: UpsertOptions,
    result: UpsertResult,
    tell: () => void,
  ): Promise<void> {
    const { timeZone, placeOf, onRejected } = options;
    const check = new RowCheck(this.dataset, timeZone);
    for await (const batch of rows) {
      const good: Row[] = [];
      for (const row of batch) {
        const rejection = check.rejectionOf(row);
        if (rejection !== undefined) {
          result.rejected++;
          onRejected?.({ index: placeOf?.(row) ?? 0, ...rejection, row });
        } else {
          // Whoever stores it knows nothing of the file's time zone.
          good.push(timeZone === undefined ? row : { ...row, [this.dataset.time.name]: check.lastTime });
        }
      }
      await this.#coordinator.submitMany(this.dataset.name as DatasetName, good as never[]);
      tell();
    }
  }
}
