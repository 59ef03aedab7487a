/** Whether a folder's disk takes bytes, found out by trying: a full or failing one is noticed as a writer would. */
import { open, rm } from "node:fs/promises";
import { join } from "node:path";

/** More than a file system keeps in a file's own entry. */
const TRIAL_BYTES = 65_536;

export async function canWriteTo(folder: string): Promise<boolean> {
  const path = join(folder, `trial-${process.pid}`);
  try {
    const file = await open(path, "w", 0o600);
    try {
      await file.writeFile(Buffer.alloc(TRIAL_BYTES));
      await file.datasync();
    } finally {
      await file.close();
    }
    return true;
  } catch {
    return false;
  } finally {
    await rm(path, { force: true }).catch(() => undefined);
  }
}
