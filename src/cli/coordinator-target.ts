/**
 * Takes a file's rows through a coordinator with a spool: what was accepted survives the process and an outage of the
 * database. Lines that cannot be rows are rejected as ever; rows that only the database refuses go to the dead letters.
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
import type { IngestTarget } from "../files/ingest-file.ts";

type Row = Readonly<Record<string, unknown>>;

/** Opens the spool of the settings; what an earlier process left there is stored too. @throws StoreError `spool_in_use`. */
export async function openCoordinatorTarget(
  store: Store,
  dataset: DatasetShape,
  config: Config,
): Promise<CoordinatorTarget> {
  const { folder, maxBytes } = spoolPlace(config);
  const coordinator = await createCoordinator({
    ...coordinatorTuning(config),
    store,
    deadLetterDir: deadLetterFolder(config),
    spool: { dir: folder, maxBytes },
  });
  return new CoordinatorTarget(coordinator, dataset);
}

export class CoordinatorTarget implements IngestTarget {
  readonly dataset: DatasetShape;
  readonly #coordinator: Coordinator;
  /** Rows that the database refused. */
  deadLettered = 0;

  constructor(coordinator: Coordinator, dataset: DatasetShape) {
    this.#coordinator = coordinator;
    this.dataset = dataset;
  }

  /** Rows that were read before the source failed are stored all the same. */
  async upsert(rows: AsyncIterable<readonly never[]>, options: UpsertOptions = {}): Promise<UpsertResult> {
    const result = { inserted: 0, updated: 0, unchanged: 0, superseded: 0, rejected: 0, rejections: [] };
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.#submitAll(rows as AsyncIterable<readonly Row[]>, options, result);
    } catch (error) {
      failure = { error };
    }
    const { inserted, updated, unchanged, superseded, deadLettered } = await this.#coordinator.flush();
    Object.assign(result, { inserted, updated, unchanged, superseded });
    this.deadLettered += deadLettered;
    options.onBatch?.(result, new RowBatch(this.dataset, 1));
    if (failure !== undefined) throw failure.error;
    return result;
  }

  /** Stores what is left, and closes spool and dead letters. */
  async close(): Promise<void> {
    await this.#coordinator.stop();
  }

  async #submitAll(rows: AsyncIterable<readonly Row[]>, options: UpsertOptions, result: UpsertResult): Promise<void> {
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
    }
  }
}
