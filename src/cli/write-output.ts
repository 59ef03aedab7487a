/** Writes what a verb was asked to put into a file. It replaces an older file only once it is whole. */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf, StoreError } from "../errors/store-error.ts";

/** @throws StoreError `file_unwritable`. */
export async function writeOutput(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new StoreError("file_unwritable", `${path} cannot be written: ${messageOf(cause)}.`, { cause });
  }
}
