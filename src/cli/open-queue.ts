/** The job queue for one verb. */
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
  { url, adminUrl }: Pick<UsedDatabase, "url" | "adminUrl">,
  work: readonly string[] = [],
): Promise<JobRunner> {
  const [{ JobRunner: Runner }, { BUILT_IN_JOBS }] = await Promise.all([
    import("../jobs/runner.ts"),
    import("../jobs/built-in-jobs.ts"),
  ]);
  const write = (line: string): void => shell.output.note((JSON.parse(line) as { msg: string }).msg);
  const runner = new Runner({
    urls: async () => ({ url, adminUrl }),
    definitions: BUILT_IN_JOBS,
    work,
    group: "command",
    log: createLogger({ level: "warn", stream: { write } }),
  });
  await runner.start();
  return runner;
}
