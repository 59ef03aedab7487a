/** Brings what the queue knows of jobs up to date with their definitions: how each is treated, and when it is due. */
import type { PgBoss, QueueResult } from "pg-boss";
import { StoreError } from "../errors/store-error.ts";
import type { JobDefinition } from "./define-job.ts";
import { type JobTiming, queueOptions } from "./open-boss.ts";
import { parseInput } from "./parse-input.ts";

/** One of a name runs at a time, everywhere; any number waits. */
const POLICY = "singleton";
/** What a schedule made is shown for a week after its end: one of every minute is ten thousand then. */
const KEEP_SCHEDULED_SECONDS = 7 * 86_400;

/** Makes the queues of these jobs, and changes those whose definition has changed. */
export async function matchQueues(
  boss: PgBoss,
  definitions: readonly JobDefinition[],
  timing: JobTiming,
): Promise<void> {
  const there = new Map((await boss.getQueues()).map((queue) => [queue.name, queue]));
  for (const definition of definitions) {
    const wanted = queueOptions(definition, timing);
    const queue = there.get(definition.name);
    if (queue === undefined) await boss.createQueue(definition.name, { ...wanted, policy: POLICY });
    else if (differs(queue, wanted)) await boss.updateQueue(definition.name, wanted);
  }
}

function differs(queue: QueueResult, wanted: ReturnType<typeof queueOptions>): boolean {
  return Object.entries(wanted).some(([name, value]) => queue[name as keyof QueueResult] !== value);
}

/**
 * Schedules these jobs, and removes what this group had scheduled of jobs that it has no more. Another group's
 * schedules are left alone: its jobs are not known here.
 *
 * @throws StoreError `usage` for a schedule that is no cron expression, or a job that cannot be run without an input.
 */
export async function matchSchedules(
  boss: PgBoss,
  definitions: readonly JobDefinition[],
  group: string,
): Promise<void> {
  const there = new Map(
    (await boss.getSchedules()).filter(({ key }) => key === group).map((schedule) => [schedule.name, schedule.cron]),
  );
  for (const definition of definitions) {
    const { name, schedule } = definition;
    const known = there.get(name);
    there.delete(name);
    if (schedule === undefined && known !== undefined) await boss.unschedule(name, group);
    if (schedule === undefined || schedule === known) continue;
    await checkSchedule(boss, definition, schedule);
    // Of occurrences that nobody was there for, the last one is made up for.
    const options = { tz: "UTC", key: group, missed: "once", deleteAfterSeconds: KEEP_SCHEDULED_SECONDS } as const;
    await boss.schedule(name, schedule, { input: {}, scheduled: true }, options);
  }
  for (const name of there.keys()) await boss.unschedule(name, group);
}

async function checkSchedule(boss: PgBoss, definition: JobDefinition, schedule: string): Promise<void> {
  const { name } = definition;
  try {
    if (schedule.trim().split(/\s+/).length !== 5) throw new StoreError("usage", "It has not five fields.");
    boss.previewSchedule(schedule, { count: 1 });
  } catch (cause) {
    throw new StoreError(
      "usage",
      `The schedule "${schedule}" of the job ${name} is no cron expression of five fields.`,
      {
        cause,
      },
    );
  }
  try {
    await parseInput(definition, {});
  } catch (cause) {
    throw new StoreError("usage", `The job ${name} has a schedule, so its schema must do without an input.`, { cause });
  }
}
