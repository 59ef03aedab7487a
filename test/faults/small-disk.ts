/** A disk of a few megabytes, in memory, that can be filled and emptied. Mounting it takes root. */
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

export interface SmallDisk {
  readonly folder: string;
  /** Takes all room. */
  fill(): void;
  /** Gives it back. */
  empty(): void;
  unmount(): Promise<void>;
}

const run = promisify(execFile);
const SIZE_BYTES = 3_145_728;
const PAGE_BYTES = 4_096;

/** Undefined where it cannot be mounted. */
export async function mountSmallDisk(folder: string): Promise<SmallDisk | undefined> {
  mkdirSync(folder);
  try {
    await run("mount", ["-t", "tmpfs", "-o", `size=${SIZE_BYTES}`, "tmpfs", folder]);
  } catch {
    return undefined;
  }
  const ballast = join(folder, "ballast");
  return {
    folder,
    fill: () => {
      for (let bytes = SIZE_BYTES; bytes >= PAGE_BYTES; bytes >>= 1) {
        try {
          writeFileSync(ballast, Buffer.alloc(bytes), { flag: "a" });
        } catch {} // That is the point.
      }
    },
    empty: () => rmSync(ballast, { force: true }),
    unmount: async () => void (await run("umount", [folder])),
  };
}
