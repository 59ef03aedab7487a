/** Job runners as quick as the queue allows. */
import type { JobTiming } from "../../src/jobs/open-boss.ts";

export const QUICK: JobTiming = {
  heartbeatSeconds: 10,
  superviseSeconds: 1,
  retryDelaySeconds: 1,
  cronSeconds: 1,
  wakeMs: 50,
};
