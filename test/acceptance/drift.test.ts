/**
 * Store, registry and Redis as processes, started as the documents say: a contract that is changed in the registry shows
 * in metric, event, health and command within one interval, and clears again.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { eventEnvelope } from "../../src/contracts/event-envelope.ts";
import type { HealthStatus } from "../../src/contracts/health-status.ts";
import { schemaDrift } from "../../src/contracts/schema-drift.ts";
import { type CommandResult, mds, type RunningCommand, scratchFolder, startMds } from "../support/mds-command.ts";
import { type RedisServer, redisOrWarning, startRedis } from "../support/redis-server.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const { binary, missing } = await redisOrWarning("drift from end to end");
const TOKEN = "a-token-of-this-test";
const NAME = "telemetry.FeedbackEvent";
const INTERVAL_MS = 1_000;

const until = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 30_000, interval: 50 });

let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let database: TestDatabase;
let registryDatabase: TestDatabase;
let processes: RunningCommand[];

beforeAll(async () => {
  [database, registryDatabase] = await Promise.all([createTestDatabase(), createTestDatabase({ empty: true })]);
});
afterAll(async () => {
  await Promise.all([database.drop(), registryDatabase.drop()]);
});
beforeEach(async () => {
  scratch = await scratchFolder();
  processes = [];
});
afterEach(async () => {
  for (const { child, done } of processes) {
    child.kill("SIGTERM");
    await done;
  }
  await scratch.remove();
});

function start(args: readonly string[], env: Readonly<Record<string, string>>): RunningCommand {
  const running = startMds(args, { cwd: scratch.path, env });
  processes.push(running);
  return running;
}

async function urlOf({ output }: RunningCommand): Promise<string> {
  await until(() => expect(output.stderr).toMatch(/http:\/\/127\.0\.0\.1:\d+/));
  return /http:\/\/127\.0\.0\.1:\d+/.exec(output.stderr)![0];
}

async function startRegistry(): Promise<string> {
  const env = {
    DATABASE_URL: registryDatabase.url,
    ADMIN_DATABASE_URL: registryDatabase.adminUrl,
    REGISTRY_TOKEN: TOKEN,
  };
  return urlOf(start(["registry", "serve", "--host", "127.0.0.1", "--port", "0"], env));
}

async function healthOf(store: string): Promise<HealthStatus> {
  return (await (await fetch(`${store}/health`)).json()) as HealthStatus;
}

async function componentOf(store: string, name: string): Promise<object | undefined> {
  return (await healthOf(store)).components.find((component) => component.name === name);
}

async function gaugeOf(store: string, name: string): Promise<string | undefined> {
  const text = await (await fetch(`${store}/metrics`)).text();
  return new RegExp(`^${name}\\{repo="market-data-store",track="v1",schema="${NAME}"\\} (.*)$`, "m").exec(text)?.[1];
}

describe("mds registry", () => {
  it("publishes, fetches, and refuses what breaks", async () => {
    const url = await startRegistry();
    const command = (...args: string[]): Promise<CommandResult> =>
      mds(["registry", ...args, "--url", url], { cwd: scratch.path, env: { REGISTRY_TOKEN: TOKEN } });
    expect(await command("publish", NAME, "--track", "v5")).toMatchObject({
      code: 0,
      stdout: `${NAME} published as version 1\n`,
    });
    expect(await command("publish", NAME, "--track", "v5")).toMatchObject({
      code: 0,
      stdout: `${NAME} unchanged, is version 1\n`,
    });
    const { stdout } = await command("fetch", NAME, "--track", "v5");
    expect(stdout).toBe(await readFile(new URL(`../../contracts/v1/${NAME}.schema.json`, import.meta.url), "utf8"));
    expect(await command("fetch", "--track", "v5", "--output", "schemas")).toMatchObject({ code: 0 });
    expect(await readFile(join(scratch.path, "schemas", `${NAME}.schema.json`), "utf8")).toBe(stdout);
    const other = { ...(JSON.parse(stdout) as object), required: ["level"] };
    await fetch(`${url}/schemas/v5/${NAME}?compatibility=none`, {
      method: "PUT",
      body: JSON.stringify(other),
      headers: { "content-type": "application/json", authorization: `Bearer ${TOKEN}` },
    });
    const refused = await command("publish", NAME, "--track", "v5");
    expect(refused).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/is now required.*\(schema_incompatible\)\n$/),
    });
    expect(await command("publish", NAME, "--track", "v5", "--force")).toMatchObject({ code: 0 });
    expect(await command("fetch", "telemetry.None")).toMatchObject({ code: 1 });
    expect(await command("publish", "telemetry.None")).toMatchObject({ code: 2 });
    const noToken = await mds(["registry", "publish", "--url", url], { cwd: scratch.path });
    expect(noToken).toMatchObject({ code: 1, stderr: expect.stringMatching(/REGISTRY_TOKEN.*\(unauthorized\)\n$/) });
    const [registry] = processes;
    registry!.child.kill("SIGTERM");
    expect(await registry!.done).toMatchObject({ code: 0, signal: null });
  });

  it("needs to be named", async () => {
    const result = await mds(["drift", "check"], { cwd: scratch.path });
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining("set REGISTRY_URL") });
    const away = await mds(["drift", "check", "--url", "http://127.0.0.1:9"], { cwd: scratch.path });
    expect(away).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/does not answer.*\(registry_unavailable\)\n$/),
    });
  });
});

describe.skipIf(binary === undefined)(`drift from end to end${missing}`, () => {
  let redis: RedisServer;
  beforeEach(async () => {
    redis = await startRedis(binary!);
  });
  afterEach(async () => {
    for (const { child, done } of processes) {
      child.kill("SIGTERM");
      await done;
    }
    await redis.stop();
  });

  it("R36 R39 a changed contract shows in metric, event, health and command within an interval, and clears again", async () => {
    const registry = await startRegistry();
    const env = {
      ...{ DATABASE_URL: database.url, ADMIN_DATABASE_URL: database.adminUrl },
      ...{ EVENT_BUS_BACKEND: "redis", REDIS_URL: redis.url },
      ...{ REGISTRY_URL: registry, REGISTRY_TOKEN: TOKEN, MDS_DRIFT_INTERVAL_MS: String(INTERVAL_MS) },
    };
    const command = (...args: string[]): Promise<CommandResult> => mds(args, { cwd: scratch.path, env });
    expect((await command("registry", "publish")).code).toBe(0);
    // A spool has one owner, so each replica has a folder of its own.
    const serve = () =>
      start(["serve", "--host", "127.0.0.1", "--port", "0"], { ...env, MDS_DATA_DIR: `data-${processes.length}` });
    const tail = start(["pulse", "tail", "--stream", "telemetry.schema_drift"], env);
    await until(() => expect(tail.output.stderr).toContain("Listening to mdp.telemetry.schema_drift."));
    const stores = await Promise.all([serve(), serve()].map(urlOf));
    for (const store of stores) {
      await until(async () => expect(await healthOf(store)).toMatchObject({ state: "healthy" }));
      expect(await componentOf(store, "pulse")).toMatchObject({ state: "healthy", details: { backend: "redis" } });
      await until(async () => expect(await gaugeOf(store, "mds_schema_drift_state")).toBe("0"));
    }
    expect(await command("drift", "check")).toMatchObject({ code: 0 });

    const mine = JSON.parse((await command("registry", "fetch", NAME)).stdout) as { properties: object };
    const changed = { ...mine, properties: { ...mine.properties, queue_size: { type: "string" } } };
    const answer = await fetch(`${registry}/schemas/v1/${NAME}?compatibility=none`, {
      method: "PUT",
      body: JSON.stringify(changed),
      headers: { "content-type": "application/json", authorization: `Bearer ${TOKEN}` },
    });
    expect(answer.status).toBe(201);

    for (const store of stores) {
      await until(async () => expect(await gaugeOf(store, "mds_schema_drift_state")).toBe("1"));
      expect(await gaugeOf(store, "schema_drift_total")).toBe("1");
      expect(Number(await gaugeOf(store, "schema_drift_last_detected_timestamp"))).toBeCloseTo(Date.now() / 1_000, -2);
      await until(async () =>
        expect(await componentOf(store, "registry")).toEqual({
          name: "registry",
          state: "degraded",
          details: { reason: "breaking drift", track: "v1", drift: NAME, breaking: NAME },
        }),
      );
      expect((await fetch(`${store}/readyz`)).status).toBe(200);
    }
    await until(() => expect(tail.output.stdout).toContain("\n"));
    const event = eventEnvelope.parse(JSON.parse(tail.output.stdout));
    expect(event).toMatchObject({ key: NAME, meta: { schema_id: "telemetry.schema_drift", track: "v1" } });
    expect(schemaDrift.parse(event.payload)).toMatchObject({ schema: NAME, change: "breaking", registry_version: "2" });

    const check = await command("drift", "check", "--output", "out/report.json");
    expect(check).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`${NAME}: queue_size no longer allows string. (breaking)`),
    });
    const report = JSON.parse(await readFile(join(scratch.path, "out", "report.json"), "utf8")) as object;
    expect(report).toMatchObject({ track: "v1", summary: { drift: 1, breaking: 1, missing: 0 } });
    const known = JSON.parse((await command("drift", "report", "--json")).stdout) as object[];
    expect(known).toMatchObject([{ schema_name: NAME, change: "breaking" }]);

    // A replica that is started meanwhile shows it, and does not tell it again.
    const late = await urlOf(serve());
    await until(async () => expect(await gaugeOf(late, "mds_schema_drift_state")).toBe("1"));

    expect((await command("registry", "publish", "--force")).code).toBe(0);
    for (const store of [...stores, late]) {
      await until(async () => expect(await gaugeOf(store, "mds_schema_drift_state")).toBe("0"));
      await until(async () => expect(await componentOf(store, "registry")).toMatchObject({ state: "healthy" }));
    }
    expect(await command("drift", "check")).toMatchObject({ code: 0 });
    await until(async () => expect((await command("drift", "report", "--json")).stdout).toBe("[]\n"));
    expect(tail.output.stdout.trim().split("\n")).toHaveLength(1);
  });

  it("the service goes on while Redis and the registry are away, says so in its health, and stops in order", async () => {
    const env = {
      DATABASE_URL: database.url,
      EVENT_BUS_BACKEND: "redis",
      REDIS_URL: redis.url,
      REGISTRY_URL: "http://127.0.0.1:9",
    };
    await redis.kill();
    const service = start(["serve", "--host", "127.0.0.1", "--port", "0"], env);
    const store = await urlOf(service);
    await until(async () =>
      expect(await componentOf(store, "pulse")).toMatchObject({
        state: "degraded",
        details: { code: "bus_unavailable" },
      }),
    );
    await until(async () =>
      expect(await componentOf(store, "registry")).toMatchObject({
        state: "degraded",
        details: { code: "registry_unavailable" },
      }),
    );
    expect((await fetch(`${store}/readyz`)).status).toBe(200);
    await redis.start();
    await until(async () => expect(await componentOf(store, "pulse")).toMatchObject({ state: "healthy" }));
    service.child.kill("SIGTERM");
    expect(await service.done).toMatchObject({ code: 0 });
  });

  it("is not listed where it is switched off", async () => {
    const env = { DATABASE_URL: database.url, PULSE_ENABLED: "false" };
    const store = await urlOf(start(["serve", "--host", "127.0.0.1", "--port", "0"], env));
    const names = (await healthOf(store)).components.map(({ name }) => name);
    expect(names).not.toContain("pulse");
    expect(names).not.toContain("registry");
  });
});
