/**
 * Which OS user runs the server, and what that user can reach. PostgreSQL refuses to run as root, so a process of root
 * starts it as an unprivileged user that exists already; every other process starts it as itself.
 * Reads permission bits only: access lists and security modules are not looked at.
 */
import { readFile, realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { StoreError } from "../../errors/store-error.ts";

/** A user of the operating system. */
export interface OsUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** In order of preference. */
const UNPRIVILEGED = ["postgres", "nobody"];

/** The users out of an `/etc/passwd` that may run the server for root, best first. */
export function unprivilegedUsers(passwd: string): OsUser[] {
  const users = new Map<string, OsUser>();
  for (const line of passwd.split("\n")) {
    const [name = "", , uid, gid] = line.split(":");
    if (Number(uid) > 0 && Number(gid) > 0) users.set(name, { name, uid: Number(uid), gid: Number(gid) });
  }
  return UNPRIVILEGED.flatMap((name) => users.get(name) ?? []);
}

/**
 * The users that may run the server for this process, best first; undefined when it can do so itself.
 * @throws StoreError `embedded_failed` when this is root and there is no such user.
 */
export async function candidateUsers(): Promise<readonly [OsUser, ...OsUser[]] | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const [first, ...others] = unprivilegedUsers(await readFile("/etc/passwd", "utf8").catch(() => ""));
  if (first) return [first, ...others];
  throw new StoreError(
    "embedded_failed",
    `PostgreSQL refuses to run as root, and none of the OS users ${UNPRIVILEGED.join(", ")} exists: ` +
      "create one, start as an ordinary user, or set DATABASE_URL.",
  );
}

/**
 * The first folder or file on the way to an existing `path` that a user may not pass (folders) or read and
 * execute (the last one, when it is a file); undefined when there is none.
 */
export async function firstBarrier(path: string, user: OsUser): Promise<string | undefined> {
  const way: string[] = [];
  for (let part = await realpath(path); ; part = dirname(part)) {
    way.unshift(part);
    if (part === dirname(part)) break;
  }
  for (const part of way) {
    const facts = await stat(part);
    const shift = facts.uid === user.uid ? 6 : facts.gid === user.gid ? 3 : 0;
    const needed = facts.isDirectory() ? 1 : 5;
    if (((facts.mode >> shift) & needed) !== needed) return part;
  }
  return undefined;
}
