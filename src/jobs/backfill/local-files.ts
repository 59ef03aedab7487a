/**
 * Opens files below the folders that the operator named. What counts is where a name really leads: links are resolved,
 * one that leads out is refused, and after opening it is checked that the open file is the one that was looked at.
 * Only regular files are opened, so that nothing waits for a FIFO or reads a device.
 */
import { constants, type Dirent, realpathSync, statSync } from "node:fs";
import { type FileHandle, glob, lstat, open, readlink, realpath, stat } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import { escapeUnsafe } from "../../datasets/values/show-value.ts";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { fixedPart } from "../../files/input-files.ts";
import { isBelow, outside, refused } from "./backfill-access.ts";

/** Something that was opened for reading. */
export interface OpenedSource {
  /** How messages call it. */
  readonly name: string;
  /** Another text where the content may be another; the empty text where nothing tells. */
  readonly version: string;
  /** Its bytes; whoever opened it destroys it. */
  readonly stream: Readable;
}

/** Bytes read at a time. */
const CHUNK_BYTES = 65_536;
/** Whatever folders are named, what the system keeps here are no data files. */
const PSEUDO_FOLDERS = ["/proc", "/sys", "/dev"];

/**
 * Opens a file.
 *
 * @param name - Its whole name.
 * @throws StoreError `backfill_refused`, `file_unreadable`.
 */
export async function openLocalFile(name: string, dirs: readonly string[]): Promise<OpenedSource> {
  const shown = escapeUnsafe(name);
  let handle: FileHandle | undefined;
  try {
    const [real, folders] = [await realpath(name), await realFolders(dirs)];
    refuseOutside(real, folders, shown);
    // Before it is opened: opening alone may set a device or a FIFO's writer going.
    if (!(await lstat(real)).isFile()) throw refused(`${shown} may not be read: it is no regular file.`);
    handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const facts = await handle.stat({ bigint: true });
    if (!facts.isFile()) throw refused(`${shown} may not be read: it is no regular file.`);
    refuseOutside(await openedPath(handle, real, facts, shown), folders, shown);
    const version = `${facts.dev}:${facts.ino}:${facts.size}:${facts.mtimeNs}`;
    return { name: shown, version, stream: handle.createReadStream({ highWaterMark: CHUNK_BYTES }) };
  } catch (error) {
    await handle?.close();
    throw asUnreadable(error, shown);
  }
}

/**
 * The files that a pattern matches, by name, none of them a folder. Folders to which a link leads out are not entered.
 *
 * @param pattern - Absolute; everything before its first wildcard is below a folder of `dirs`.
 * @param atMost - One more than this ends the search.
 */
export async function matchingFiles(
  pattern: string,
  dirs: readonly string[],
  atMost: number,
): Promise<readonly string[]> {
  const folders = await realFolders(dirs);
  const base = await realpath(fixedPart(pattern)).catch(() => undefined);
  if (base === undefined) return [];
  refuseOutside(base, folders, escapeUnsafe(pattern));
  const exclude = (entry: Dirent): boolean => entry.isSymbolicLink() && leadsOut(entry, folders);
  const files: string[] = [];
  const real = path.join(base, pattern.slice(fixedPart(pattern).length));
  for await (const entry of glob(real, { withFileTypes: true, exclude })) {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isDirectory() || (entry.isSymbolicLink() && isFolder(file))) continue;
    files.push(file);
    if (files.length > atMost) break;
  }
  return files.sort();
}

/** Links to files stay: one that leads out is refused by its name when it is opened. */
function leadsOut(entry: Dirent, folders: readonly string[]): boolean {
  const link = path.join(entry.parentPath, entry.name);
  return isFolder(link) && !folders.some((folder) => isBelow(realpathSync(link), folder));
}

function isFolder(name: string): boolean {
  return statSync(name, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Folders that are not there allow nothing. */
async function realFolders(dirs: readonly string[]): Promise<string[]> {
  const folders = await Promise.all(dirs.map((dir) => realpath(dir).catch(() => undefined)));
  return folders.filter((folder) => folder !== undefined);
}

function refuseOutside(real: string, folders: readonly string[], shown: string): void {
  const isInside = folders.some((folder) => isBelow(real, folder));
  if (!isInside || PSEUDO_FOLDERS.some((folder) => isBelow(real, folder))) throw outside(shown);
}

/**
 * Where the file lies that was really opened: a folder on the way may have been exchanged for a link meanwhile. Linux
 * tells; elsewhere it is looked at once more, which somebody who may write to the folders can still outrun.
 */
async function openedPath(
  handle: FileHandle,
  real: string,
  opened: { readonly dev: bigint; readonly ino: bigint },
  shown: string,
): Promise<string> {
  const told = await readlink(`/proc/self/fd/${handle.fd}`).catch(() => undefined);
  if (told !== undefined) return told;
  const facts = await stat(real, { bigint: true });
  if (facts.dev === opened.dev && facts.ino === opened.ino) return realpath(real);
  throw refused(`${shown} may not be read: it was exchanged for another file while it was opened.`);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist",
  EACCES: "may not be read by this user",
  EPERM: "may not be read by this user",
  ELOOP: "is a link that leads nowhere",
};

function asUnreadable(error: unknown, shown: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reason = REASONS[code] ?? `could not be opened: ${messageOf(error)}`;
  return new StoreError("file_unreadable", `${shown} ${reason}.`, { cause: error });
}
