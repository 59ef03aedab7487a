/**
 * One owner per folder. The lock is a file `owner-<n>.json` with pid and start time of its owner; a new owner makes
 * the file with the next number, which only one process can do, so taking over from a dead owner has no race.
 * Processes that do not see each other (two containers on one volume) are not kept apart.
 */
import { randomBytes } from "node:crypto";
import { link, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { StoreError } from "../errors/store-error.ts";
import { processStart } from "./process-start.ts";

const NAME = /^owner-(\d+)\.json$/;
/** Each round lost means that another process won, which the next round then sees. */
const MAX_ROUNDS = 100;

/** How the owner of a kind of folder says what went wrong. */
export interface LockErrors {
  /** The folder has a live owner; `who` names it within a sentence. */
  readonly inUse: (who: string, pid: number) => StoreError;
  /** The lock could not be taken; `sentence` says why. */
  readonly failed: (sentence: string) => StoreError;
}

/** Ownership of a folder. */
export interface OwnerLock {
  /** Gives it up; never fails. */
  release(): Promise<void>;
}

/**
 * Makes this process the owner of `home`.
 * @throws StoreError what `errors` makes of a live owner or of a lock that cannot be had; errors of the file system.
 */
export async function takeOwnership(home: string, errors: LockErrors): Promise<OwnerLock> {
  const started = await processStart(process.pid);
  if (started === undefined) {
    throw errors.failed("The start time of this process cannot be read: /proc (or ps) is needed.");
  }
  const draft = join(home, `owner-draft-${process.pid}-${randomBytes(4).toString("hex")}`);
  await writeFile(draft, JSON.stringify({ pid: process.pid, started }), { mode: 0o644, flag: "wx" });
  try {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const last = await newest(home);
      const owner = await readOwner(home, last);
      if (owner && (await isAlive(owner))) throw errors.inUse(nameOf(owner.pid), owner.pid);
      const path = lockPath(home, last + 1);
      if (!(await linked(draft, path))) continue;
      // A process that was slow may make a number that a later owner has already cleared away.
      if ((await newest(home)) !== last + 1) {
        await rm(path, { force: true });
        continue;
      }
      await removeBelow(home, last + 1, draft);
      // An empty file is a released lock. It stays, because a number must never be used twice.
      return { release: () => truncate(path).catch(() => undefined) };
    }
  } finally {
    await rm(draft, { force: true });
  }
  throw errors.failed(`The lock of ${home} could not be taken in ${MAX_ROUNDS} rounds: try again.`);
}

/** Pid of the live owner of `home`, if there is one. */
export async function liveOwner(home: string): Promise<number | undefined> {
  const owner = await readOwner(home, await newest(home));
  return owner && (await isAlive(owner)) ? owner.pid : undefined;
}

interface Owner {
  readonly pid: number;
  readonly started: string;
}

function lockPath(home: string, number: number): string {
  return join(home, `owner-${number}.json`);
}

async function newest(home: string): Promise<number> {
  const entries = await readdir(home).catch(() => []);
  return Math.max(0, ...entries.map((entry) => Number(NAME.exec(entry)?.[1] ?? 0)));
}

async function readOwner(home: string, number: number): Promise<Owner | undefined> {
  const text = await readFile(lockPath(home, number), "utf8").catch(() => "");
  try {
    const { pid, started } = JSON.parse(text) as Partial<Owner>;
    return pid !== undefined && started !== undefined ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive(owner: Owner): Promise<boolean> {
  return (await processStart(owner.pid)) === owner.started;
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function removeBelow(home: string, number: number, draft: string): Promise<void> {
  for (const entry of await readdir(home)) {
    const old = Number(NAME.exec(entry)?.[1] ?? number) < number;
    const foreignDraft = entry.startsWith("owner-draft-") && join(home, entry) !== draft;
    if (old || (foreignDraft && !(await isDraftAlive(entry)))) await rm(join(home, entry), { force: true });
  }
}

async function isDraftAlive(entry: string): Promise<boolean> {
  return (await processStart(Number(entry.split("-")[2]))) !== undefined;
}

function nameOf(pid: number): string {
  return pid === process.pid ? `this process itself (pid ${pid})` : `the process with pid ${pid}`;
}
