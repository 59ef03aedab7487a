/** What pg_stat_activity shows of the processes that run jobs, by which others see that somebody does. */

/** Of the runners of all services. */
export const SERVICE_GROUP = "service";

/** Of a process that runs the jobs of a group. */
export function runnerSessionName(group: string): string {
  return `mds jobs ${group}`;
}
