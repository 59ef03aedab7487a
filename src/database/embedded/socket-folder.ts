/**
 * The private folder of the server's Unix socket: inside the database's own folder, or below the system's temp folder
 * when that path is too long for a socket address.
 */
import { lstat, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StoreError } from "../../errors/store-error.ts";
import { makeServerFolder, type Place } from "./place.ts";
import { clusterName } from "./processes.ts";
import { SOCKET_PORT } from "./settings.ts";

/** Socket addresses end at 104 bytes (macOS) or 108 (Linux). */
const MAX_SOCKET_PATH_BYTES = 100;

/** Path of the folder. */
export function socketFolder(place: Place): string {
  const inside = join(place.home, "socket");
  const fits = Buffer.byteLength(join(inside, `.s.PGSQL.${SOCKET_PORT}`)) <= MAX_SOCKET_PATH_BYTES;
  return fits ? inside : join(tmpdir(), clusterName(place.cluster));
}

/** Makes the folder, which only the OS user of the server can enter. @throws StoreError `embedded_failed`. */
export async function makeSocketFolder(path: string, place: Place): Promise<void> {
  try {
    await makeServerFolder(path, place.runAs);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    // Anybody can make a folder of this name in a temp folder; a socket in it would be theirs to replace.
    const facts = await lstat(path);
    if (!facts.isDirectory() || facts.uid !== place.uid || (facts.mode & 0o077) !== 0) {
      throw new StoreError(
        "embedded_failed",
        `The folder ${path} for the database's socket belongs to somebody else or is open to others: remove it.`,
      );
    }
  }
}

/** Removes the folder when the server is gone. */
export async function removeSocketFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}
