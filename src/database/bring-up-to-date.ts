/**
 * Migrates a database to the newest schema and, where that changed anything, makes the partitions of now and of the next
 * periods, so that a new store is whole before the daily job has run for the first time.
 */
import { PERIODS_AHEAD } from "./engine/engine.ts";
import { openEngine } from "./engine/open-engine.ts";
import type { Migration } from "./migration-files.ts";
import { type MigratorOptions, migrateUp } from "./migrator.ts";

/** Applies what is pending, and returns what it applied. @throws StoreError what {@link migrateUp} throws. */
export async function bringUpToDate(options: MigratorOptions): Promise<Migration[]> {
  const applied = await migrateUp(options);
  if (applied.length > 0) await makePartitionsAhead(options.adminUrl);
  return applied;
}

async function makePartitionsAhead(adminUrl: string): Promise<void> {
  try {
    await (await openEngine(adminUrl)).makePartitions({ periodsAhead: PERIODS_AHEAD });
  } catch {
    // The schema is up to date all the same: writers make what they need, the daily job the rest, and doctor tells of it.
  }
}
