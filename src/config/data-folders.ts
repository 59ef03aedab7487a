/** Where this machine's data lies: below the data folder, unless a setting says otherwise. */
import { join } from "node:path";
import type { Config } from "./settings.ts";

/** Where accepted rows wait for the database, and how much room they may take. */
export function spoolPlace({ spoolDir, dataDir, spoolMaxBytes }: Config): { folder: string; maxBytes: number } {
  return { folder: spoolDir ?? join(dataDir, "spool"), maxBytes: spoolMaxBytes };
}

/** Where rows are kept that cannot be stored. */
export function deadLetterFolder({ deadLetterDir, dataDir }: Config): string {
  return deadLetterDir ?? join(dataDir, "dead-letters");
}
