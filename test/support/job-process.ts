/**
 * A job runner as a process of its own, for tests that kill it. It tells its parent each step of the job `counting`, and
 * waits for ever after step 2. Argument: the URLs as JSON.
 */
import { JobRunner, type JobUrls } from "../../src/jobs/runner.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { countingJob } from "./counting-job.ts";
import { QUICK } from "./job-timing.ts";

const counting = countingJob(async (step) => {
  process.send!({ step });
  if (step === 2) await new Promise(() => {});
});
const urls = JSON.parse(process.argv[2]!) as JobUrls;
const runner = new JobRunner({
  urls: async () => urls,
  definitions: [counting],
  log: createLogger({ level: "warn" }),
  timing: QUICK,
});
await runner.start();
