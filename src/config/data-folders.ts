/** Folders of this machine's data, each below the data folder unless a setting says otherwise. */
import { join } from "node:path";
import type { Config } from "./settings.ts";

/** Where accepted rows wait for the database. */
export function spoolFolder({ spoolDir, dataDir }: Config): string {
  return spoolDir ?? join(dataDir, "spool");
}

/** Where rows are kept that cannot be stored. */
export function deadLetterFolder({ deadLetterDir, dataDir }: Config): string {
  return deadLetterDir ?? join(dataDir, "dead-letters");
}
