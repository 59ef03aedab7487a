import { createRequire } from "node:module";
import { expect, it, vi } from "vitest";
import { settleCalendar } from "./settle-calendar.ts";

it("lets schedules be worked out without a look at the runtime's locales", () => {
  const { CronExpressionParser } = createRequire(createRequire(import.meta.url).resolve("pg-boss"))("cron-parser") as {
    CronExpressionParser: { parse(cron: string, options: object): { next(): { toDate(): Date } } };
  };
  settleCalendar();
  const format = vi.spyOn(Intl, "DateTimeFormat");
  const currentDate = new Date("2026-01-31T23:59:00Z");
  for (const options of [{ currentDate }, { currentDate, tz: "UTC" }]) {
    const next = CronExpressionParser.parse("20 3 * * *", options).next().toDate();
    expect(next.toISOString()).toBe("2026-02-01T03:20:00.000Z");
  }
  expect(format).not.toHaveBeenCalled();
  format.mockRestore();
});
