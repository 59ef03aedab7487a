/**
 * Takes dead letters out of their files: those that are in the database now (replay), or those that nobody wants (purge).
 * One process at a time does this in a folder; writers are not held up. What is taken out is gone only when its successor
 * file is on disk, so a process that is killed leaves letters that are handled again, which changes nothing.
 */
import { resolve } from "node:path";
import type { DatasetName } from "../../datasets/registry.ts";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { takeOwnership } from "../../resilience/owner-lock.ts";
import type { StoredLetter } from "./dead-letter.ts";
import {
  type LetterFile,
  type LetterLine,
  listLetterFiles,
  readLetterFile,
  rewriteLetterFile,
  takeLetterFile,
} from "./letter-files.ts";
import { isMeant, type LetterFilter } from "./letter-filter.ts";

/** Letters that are replayed in one call and then removed: a batch of the upsert. */
const LETTERS_PER_BATCH = 5_000;

type MeantLine = LetterLine & { letter: StoredLetter };

/** Why a row stays a dead letter. */
export interface ReplayRefusal {
  readonly code: string;
  readonly message: string;
}

/**
 * Writes rows of one tenant and dataset, in their order; for each the reason why it is not stored, or undefined. Resolves
 * when they are committed.
 */
type ReplayRows = (
  tenantId: string,
  dataset: DatasetName,
  rows: readonly unknown[],
) => Promise<readonly (ReplayRefusal | undefined)[]>;

export interface ReplayOptions {
  readonly folder: string;
  readonly filter: LetterFilter;
  readonly write: ReplayRows;
  /** Newest letters first: right where a row is written only when its key is absent. Else oldest first. */
  readonly newestFirst: boolean;
  readonly signal?: AbortSignal;
  /** Told of every letter that stays. */
  readonly onKept?: (line: MeantLine, why: ReplayRefusal) => void;
}

export interface ReplayResult {
  /** Letters that are in the database now. */
  replayed: number;
  /** Letters that stay. */
  kept: number;
}

/**
 * Replays letters and removes those that are stored.
 *
 * @throws StoreError `dead_letters_in_use`, `dead_letters_unavailable`, and what `write` throws; batches before stay done.
 */
export async function replayLetters(options: ReplayOptions): Promise<ReplayResult> {
  const { folder, filter, newestFirst, signal } = options;
  const result: ReplayResult = { replayed: 0, kept: 0 };
  await withLetterFiles(folder, newestFirst, async (file) => {
    let left = (await readLetterFile(file.path)).some((line) => isMeant(line, filter)) ? await file.take() : [];
    for (const batch of batchesOf(left, options)) {
      signal?.throwIfAborted();
      const handled = await replayBatch(batch, options);
      result.replayed += handled.size;
      result.kept += batch.length - handled.size;
      if (handled.size === 0) continue;
      left = left.filter((line) => !handled.has(line));
      await file.rewrite(left);
    }
  });
  return result;
}

/** Letters of one tenant and dataset together, as many as are written at once. */
function batchesOf(lines: readonly LetterLine[], { filter, newestFirst }: ReplayOptions): MeantLine[][] {
  const groups = new Map<string, MeantLine[]>();
  for (const line of lines) {
    if (!isMeant(line, filter)) continue;
    const key = `${line.letter.tenantId} ${line.letter.dataset}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [line]);
    else group.push(line);
  }
  return [...groups.values()].flatMap((group) => {
    const batches: MeantLine[][] = [];
    for (let at = 0; at < group.length; at += LETTERS_PER_BATCH) batches.push(group.slice(at, at + LETTERS_PER_BATCH));
    return newestFirst ? batches.reverse() : batches;
  });
}

async function replayBatch(batch: readonly MeantLine[], { write, onKept }: ReplayOptions): Promise<Set<LetterLine>> {
  const { tenantId, dataset } = batch[0]!.letter;
  const refusals = await write(
    tenantId,
    dataset,
    batch.map(({ letter }) => letter.row),
  );
  const handled = new Set<LetterLine>();
  for (const [at, line] of batch.entries()) {
    const why = refusals[at];
    if (why === undefined) handled.add(line);
    else onKept?.(line, why);
  }
  return handled;
}

/**
 * Removes letters; without a filter all, with lines that cannot be read. Says how many lines.
 *
 * @throws StoreError `dead_letters_in_use`, `dead_letters_unavailable`.
 */
export async function purgeLetters(folder: string, filter: LetterFilter): Promise<number> {
  const isEverything = Object.values(filter).every((value) => value === undefined);
  const goes = (line: LetterLine): boolean => isEverything || isMeant(line, filter);
  let purged = 0;
  await withLetterFiles(folder, false, async (file) => {
    if (!isEverything && !(await readLetterFile(file.path)).some(goes)) return;
    const lines = await file.take();
    const left = lines.filter((line) => !goes(line));
    await file.rewrite(left);
    purged += lines.length - left.length;
  });
  return purged;
}

/** One file, before and after it is taken. */
interface HeldFile {
  readonly path: string;
  /** Makes it ours; its lines. */
  take(): Promise<LetterLine[]>;
  rewrite(lines: readonly LetterLine[]): Promise<void>;
}

async function withLetterFiles(
  folder: string,
  newestFirst: boolean,
  work: (file: HeldFile) => Promise<void>,
): Promise<void> {
  const place = resolve(folder);
  const first = await listLetterFiles(place).catch((error: unknown) => {
    throw unavailable(place, error);
  });
  if (first.length === 0) return;
  const lock = await takeLock(place);
  try {
    // Listed again: another process may have taken some until now.
    const files = await listLetterFiles(place);
    for (const file of newestFirst ? files.reverse() : files) await work(heldFile(place, file));
  } catch (error) {
    throw isFileError(error) ? unavailable(place, error) : error;
  } finally {
    await lock.release();
  }
}

function heldFile(folder: string, file: LetterFile): HeldFile {
  let path = file.path;
  return {
    path,
    take: async () => {
      path = await takeLetterFile(folder, file);
      return readLetterFile(path);
    },
    rewrite: (lines) => rewriteLetterFile(folder, path, lines),
  };
}

async function takeLock(folder: string): Promise<{ release(): Promise<void> }> {
  try {
    return await takeOwnership(folder, {
      inUse: (who, pid) =>
        new StoreError("dead_letters_in_use", `The dead letters in ${folder} are being replayed or purged by ${who}.`, {
          details: { pid, folder },
        }),
      failed: (sentence) => new StoreError("dead_letters_unavailable", sentence),
    });
  } catch (error) {
    throw error instanceof StoreError ? error : unavailable(folder, error);
  }
}

function isFileError(error: unknown): boolean {
  return typeof (error as NodeJS.ErrnoException)?.syscall === "string";
}

function unavailable(folder: string, cause: unknown): StoreError {
  const sentence = `The dead letters in ${folder} cannot be used: ${messageOf(cause)}.`;
  return new StoreError("dead_letters_unavailable", sentence, { cause });
}
