/** The job queue for one verb. */
import type { LoadedConfig } from "../config/load.ts";
import type { JobRunner } from "../jobs/runner.ts";
import { createLogger } from "../telemetry/logger.ts";
import type { UsedDatabase } from "./connect.ts";
import type { Shell } from "./shell.ts";

/**
 * Opens the queue. It runs the jobs of the names in `work`, and else only accepts and changes jobs. What it needs is
 * loaded here: the other verbs start without it.
 */
export async function openQueue(
  shell: Shell,
  config: LoadedConfig,
  { url, adminUrl }: Pick<UsedDatabase, "url" | "adminUrl">,
  work: readonly string[] = [],
): Promise<JobRunner> {
  const [{ JobRunner: Runner }, { builtInJobs }, { backfillAccess }] = await Promise.all([
    import("../jobs/runner.ts"),
    import("../jobs/built-in-jobs.ts"),
    import("../jobs/backfill/backfill-access.ts"),
  ]);
  const write = (line: string): void => shell.output.note((JSON.parse(line) as { msg: string }).msg);
  const runner = new Runner({
    urls: async () => ({ url, adminUrl }),
    definitions: builtInJobs(backfillAccess(config)),
    work,
    group: "command",
    log: createLogger({ level: "warn", stream: { write } }),
  });
  await runner.start();
  return runner;
}
