/**
 * Keeps the calendar library behind the job queue's schedules from asking the runtime for its locale and its zone, which
 * opens the data of all locales there are: 8 MB that stay. No dates are shown there, and all schedules are UTC. Where
 * another version of the queue has another calendar, nothing is told, and nothing but memory depends on it.
 */
import { createRequire } from "node:module";

/** Tells the calendar both. */
export function settleCalendar(): void {
  try {
    let at = import.meta.url;
    for (const name of ["pg-boss", "cron-parser", "luxon"]) at = createRequire(at).resolve(name);
    const calendar = createRequire(at)(at) as { readonly Settings: { defaultLocale: string; defaultZone: string } };
    Object.assign(calendar.Settings, { defaultLocale: "en-US", defaultZone: "utc" });
  } catch {
    // The queue has another calendar.
  }
}
