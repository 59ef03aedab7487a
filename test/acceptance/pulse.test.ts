/** Feedback of a real service under pressure, as a pipeline elsewhere hears it over Redis. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createPulseSubscriber, type PulseEvent, type PulseSubscriber } from "../../src/feedback/pulse-subscriber.ts";
import { barLines } from "../support/ingest-service.ts";
import { mds, type RunningCommand, scratchFolder, startMds } from "../support/mds-command.ts";
import { type RedisServer, redisOrWarning, startRedis } from "../support/redis-server.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const { binary, missing } = await redisOrWarning("feedback of the service");
const ROWS = 5_000;

const until = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 30_000, interval: 20 });

describe.skipIf(binary === undefined)(`feedback of a service under pressure${missing}`, () => {
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  let database: TestDatabase;
  let redis: RedisServer;
  let service: RunningCommand | undefined;
  let subscriber: PulseSubscriber | undefined;

  beforeEach(async () => {
    [scratch, database, redis] = await Promise.all([scratchFolder(), createTestDatabase(), startRedis(binary!)]);
  });

  afterEach(async () => {
    service?.child.kill("SIGTERM");
    await service?.done;
    await subscriber?.close();
    await Promise.all([scratch.remove(), database.drop(), redis.stop()]);
  });

  it("R36 reaches a pipeline over Redis, in the contract's words, and ends with ok", async () => {
    const events: PulseEvent<"telemetry.feedback">[] = [];
    const errors: string[] = [];
    subscriber = await createPulseSubscriber({
      redisUrl: redis.url,
      stream: "telemetry.feedback",
      group: "pipeline",
      onEvent: (event) => void events.push(event),
      onError: ({ message }) => void errors.push(message),
    });
    const env = {
      ...{ DATABASE_URL: database.url, ADMIN_DATABASE_URL: database.adminUrl },
      ...{ EVENT_BUS_BACKEND: "redis", REDIS_URL: redis.url, MDS_COORDINATOR_CAPACITY: "400" },
    };
    const { stdout: token } = await mds(["tenant", "token", "create", "default", "--name", "t"], {
      cwd: scratch.path,
      env,
    });
    service = startMds(["serve", "--host", "127.0.0.1", "--port", "0"], { cwd: scratch.path, env });
    await until(() => expect(service!.output.stderr).toContain("is ready at"));
    const url = /is ready at (http:\S+)/.exec(service.output.stderr)![1]!;
    const headers = { authorization: `Bearer ${token.trim()}`, "content-type": "application/x-ndjson" };
    const lines = barLines(ROWS).trimEnd().split("\n");
    // As the answers ask for: after the last accepted line, until all are.
    await until(async () => {
      const answer = await fetch(`${url}/v1/bars`, { method: "POST", headers, body: `${lines.join("\n")}\n` });
      const { accepted_lines } = (await answer.json()) as { accepted_lines: number };
      lines.splice(0, accepted_lines);
      expect(lines).toEqual([]);
    });
    await until(() => expect(events.at(-1)?.payload.level).toBe("ok"));
    const levels = new Set(events.map(({ payload }) => payload.level));
    expect(levels.has("hard") || levels.has("soft")).toBe(true);
    for (const { key, headers: extras, payload } of events) {
      expect(Object.keys(payload).sort()).toEqual([
        "capacity",
        "coordinator_id",
        "level",
        "queue_size",
        "source",
        "ts",
      ]);
      expect(key).toBe(payload.coordinator_id);
      expect(extras).toEqual({ reason: expect.any(String), utilization: expect.stringMatching(/^\d\.\d{6}$/) });
    }
    expect(errors).toEqual([]);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(
      /^pulse_publish_total\{stream="mdp.telemetry.feedback",track="v1",outcome="success"\} \d+$/m,
    );
  });
});
