import { describe, expect, it } from "vitest";
import { StoreError } from "../errors/store-error.ts";
import { createLogger, type LogLevel } from "./logger.ts";

function logTo(level: LogLevel) {
  const lines: string[] = [];
  const log = createLogger({ level, stream: { write: (line) => void lines.push(line) } });
  return { log, lines };
}

describe("createLogger", () => {
  it("writes one JSON object a line", () => {
    const { log, lines } = logTo("info");
    log.info({ port: 8082 }, "Listening.");
    log.debug("Not said.");
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      service: "market-data-store",
      port: 8082,
      msg: "Listening.",
    });
  });

  it("says nothing when silent", () => {
    const { log, lines } = logTo("silent");
    log.fatal("Not said.");
    expect(lines).toEqual([]);
  });

  it("lets no secret out, wherever it stands, and still writes JSON", () => {
    const { log, lines } = logTo("info");
    const cause = new Error("connect to postgres://u:hunter2@db failed");
    const err = new StoreError("database_unavailable", "No answer.", { cause, details: { token: "hunter2", n: 1 } });
    log.error(
      { err, nested: { deeper: { password: "hunter2" } }, dsn: "postgresql://u:hunter2@db/md" },
      "password=hunter2",
    );
    expect(lines.join("")).not.toContain("hunter2");
    expect(JSON.parse(lines[0]!)).toMatchObject({
      err: { code: "database_unavailable", details: { token: "***", n: 1 } },
      dsn: "postgresql://u:***@db/md",
    });
  });
});
