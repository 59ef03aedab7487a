/** Opens the spool of a folder: makes the folder, takes its lock, and recovers what an earlier process left. */
import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { type LockErrors, takeOwnership } from "../../resilience/owner-lock.ts";
import { DiskSpool } from "./disk-spool.ts";
import { recoverSpool, type SpoolLogger } from "./recover-spool.ts";

/** Large enough that making and removing files costs nothing, small enough to be removed while an hour's rows wait. */
const SEGMENT_BYTES = 67_108_864;
/** Room comes back segment by segment, so a small spool needs small ones. */
const MIN_SEGMENTS = 8;
/** Below it not even one row of every kind would fit. */
const MIN_SPOOL_BYTES = 1_048_576;

export interface SpoolOptions {
  /** Its own folder; made when it is not there. */
  readonly folder: string;
  /** Size on disk at most, 1 MiB at least. A damaged segment that was kept aside does not count. */
  readonly maxBytes: number;
  /** Size at which a segment ends; 64 MiB, and an eighth of `maxBytes` at most, unless given. */
  readonly segmentBytes?: number;
  readonly log: SpoolLogger;
}

/**
 * @throws StoreError `spool_in_use` naming the pid of a live owner; `spool_unavailable` when the folder cannot be used;
 *   `usage` for a bound that is too small.
 */
export async function openSpool(options: SpoolOptions): Promise<DiskSpool> {
  const { maxBytes, log } = options;
  const folder = resolve(options.folder);
  if (!Number.isSafeInteger(maxBytes) || maxBytes < MIN_SPOOL_BYTES) {
    throw new StoreError("usage", `maxBytes is ${maxBytes}; a spool needs ${MIN_SPOOL_BYTES} bytes or more.`);
  }
  const segmentBytes = options.segmentBytes ?? Math.min(SEGMENT_BYTES, Math.floor(maxBytes / MIN_SEGMENTS));
  let release = async (): Promise<void> => undefined;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const lock = await takeOwnership(folder, lockErrors(folder));
    release = () => lock.release();
    const spool = new DiskSpool({ folder, maxBytes, segmentBytes, log, release }, await recoverSpool(folder, log));
    await spool.begin();
    return spool;
  } catch (error) {
    await release();
    if (error instanceof StoreError) throw error;
    throw new StoreError("spool_unavailable", `The spool's folder ${folder} cannot be used: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

function lockErrors(folder: string): LockErrors {
  return {
    inUse: (who, pid) =>
      new StoreError(
        "spool_in_use",
        `The spool in ${folder} is in use by ${who}: stop that one first, or set MDS_SPOOL_DIR to another folder.`,
        { details: { pid, folder } },
      ),
    failed: (sentence) => new StoreError("spool_unavailable", sentence),
  };
}
