/** The service as it is started and stopped by people: on a database that is given, and on an embedded one. */
import { once } from "node:events";
import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { processStart } from "../../src/resilience/process-start.ts";
import { barFile } from "../support/bar-lines.ts";
import {
  type CommandOptions,
  type CommandResult,
  finished,
  mds,
  type RunningCommand,
  scratchFolder,
  startMds,
} from "../support/mds-command.ts";
import { startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const SET = ["--set", "vendor=test", "--set", "timeframe=1m"];

let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let services: RunningCommand[];

beforeEach(async () => {
  scratch = await scratchFolder();
  // The OS user of an embedded server has to get in.
  await chmod(scratch.path, 0o755);
  services = [];
});

afterEach(async () => {
  for (const { child, done } of services) {
    child.kill("SIGTERM");
    await done;
  }
  await scratch.remove();
});

const until = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 30_000, interval: 20 });
const inScratch = (env: Record<string, string> = {}): CommandOptions => ({ cwd: scratch.path, env });

function startService(env: Record<string, string> = {}, ...flags: string[]): RunningCommand {
  const service = startMds(["serve", "--host", "127.0.0.1", "--port", "0", ...flags], inScratch(env));
  services.push(service);
  return service;
}

async function readyUrl(service: RunningCommand): Promise<string> {
  await until(() => expect(service.output.stderr).toContain("is ready at"));
  return /is ready at (http:\S+)/.exec(service.output.stderr)![1]!;
}

const stop = (service: RunningCommand, signal: NodeJS.Signals): Promise<CommandResult> => {
  service.child.kill(signal);
  return service.done;
};

describe("on a database that is given", () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    for (const service of services) await stop(service, "SIGTERM");
    await database.drop();
  });

  it("becomes ready, tells people where everything is, and stops with 0", async () => {
    const service = startService({ DATABASE_URL: database.url, ADMIN_DATABASE_URL: database.adminUrl });
    const url = await readyUrl(service);
    await until(() => expect(service.output.stdout).toContain("The store is healthy and ready."));
    const lines = service.output.stderr.split("\n");
    expect(lines[0]).toMatch(/^The store is ready at http:\/\/127\.0\.0\.1:\d+ \([\d.]+ s after its start\)\.$/);
    expect(lines[2]).toMatch(new RegExp(`^ {2}data {4}database ${database.name} at `));
    expect([lines[1], ...lines.slice(3)]).toEqual([
      `  health  ${url}/health`,
      "  ingest  npx mds ingest bars FILE --set vendor=NAME --set timeframe=1m",
      "  query   npx mds query bars --symbol SYMBOL --limit 10",
      "  latest  npx mds latest --vendor NAME SYMBOL",
      "  stop    Ctrl-C",
      "",
    ]);
    expect(service.output.stdout + service.output.stderr).not.toContain(`:${new URL(database.url).password}@`);
    // Nobody has asked for health yet.
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^store_up 1$/m);
    const health = await mds(["health", "--url", url], inScratch());
    expect(health).toMatchObject({ code: 0, stdout: expect.stringContaining(`The store at ${url} is healthy`) });
    const json = await mds(["health", "--json"], inScratch({ PORT: new URL(url).port }));
    expect(JSON.parse(json.stdout)).toMatchObject({ service: "market-data-store", state: "healthy" });
    expect(await stop(service, "SIGTERM")).toMatchObject({ code: 0 });
    const sessions = "select from pg_stat_activity where application_name like 'mds%' and datname = current_database()";
    await until(async () => expect(await database.sql(sessions)).toEqual([]));
  });

  it("R33 refuses a short ADMIN_TOKEN at start without showing it, and has no admin routes without one", async () => {
    const short = await startService({ DATABASE_URL: database.url, ADMIN_TOKEN: "fifteen-letters" }).done;
    expect(short).toMatchObject({ code: 1, stdout: "" });
    expect(short.stderr).toMatch(
      /^mds: ADMIN_TOKEN is "\*\*\*" \(environment\)\. Allowed: 16 to 512 .*\(config_invalid\)\n$/,
    );
    const url = await readyUrl(startService({ DATABASE_URL: database.url }));
    const answer = await fetch(`${url}/tenants`, { headers: { authorization: "Bearer undefined" } });
    expect([answer.status, await answer.json()]).toEqual([503, expect.objectContaining({ code: "admin_disabled" })]);
  });

  it("R29 keeps its connections however often it is asked", async () => {
    const service = startService({ DATABASE_URL: database.url });
    const url = await readyUrl(service);
    const connections = async () =>
      (
        await database.sql(
          "select from pg_stat_activity where datname = current_database() and application_name = 'mds serve'",
        )
      ).length;
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 50 }, async () => (await fetch(`${url}/health`)).arrayBuffer()));
    }
    expect(await connections()).toBeLessThanOrEqual(2);
  });

  it("says what the job runner lacks where no login for the administration is given, and serves without it", async () => {
    const service = startService({ DATABASE_URL: database.url, ADMIN_TOKEN: "an-operators-own-token" });
    const url = await readyUrl(service);
    await until(() => expect(service.output.stdout).toContain("This login may not act as mds_owner"));
    const health = await (await fetch(`${url}/readyz`)).json();
    expect(health).toMatchObject({ state: "degraded" });
    await until(async () => {
      const { stdout } = await mds(["health", "--url", url], inScratch());
      expect(stdout).toMatch(/^jobs +degraded +code=role_missing$/m);
    });
    expect(service.output.stdout.match(/The job runner cannot start yet/g)).toHaveLength(1);
    const asked = await fetch(`${url}/migrate`, {
      method: "POST",
      headers: { authorization: "Bearer an-operators-own-token" },
    });
    expect([asked.status, await asked.json()]).toEqual([
      503,
      expect.objectContaining({
        code: "jobs_unavailable",
        detail: expect.stringMatching(/^The job queue cannot be opened: .* set ADMIN_DATABASE_URL to the login/),
      }),
    ]);
  });

  it("takes jobs of the command and runs them, and none with MDS_JOBS_ENABLED=false", async () => {
    const env = { DATABASE_URL: database.url, ADMIN_DATABASE_URL: database.adminUrl };
    const service = startService(env);
    await until(() => expect(service.output.stdout).toContain("The store is healthy and ready."));
    const served = await mds(["jobs", "enqueue", "prune-runs", "--wait", "--json"], inScratch(env));
    expect(served).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(served.stdout)).toMatchObject({ name: "prune-runs", state: "succeeded", result: { runs: 0 } });
    await stop(service, "SIGTERM");
    const accepting = startService({ ...env, MDS_JOBS_ENABLED: "false" });
    await until(() => expect(accepting.output.stdout).toContain("The store is healthy and ready."));
    const { stdout, stderr } = await mds(["jobs", "enqueue", "prune-runs"], inScratch(env));
    expect(stderr).toMatch(/^No service runs jobs on this database now/);
    const shown = await mds(["jobs", "show", stdout.trim()], inScratch(env));
    expect(shown.stdout).toMatch(/^state +queued$/m);
  });

  it("warns once of a superuser's login", async () => {
    const service = startService({ DATABASE_URL: database.adminUrl });
    await readyUrl(service);
    await until(() => expect(service.output.stdout).toContain("is a superuser"));
    const { stdout } = await stop(service, "SIGINT");
    expect(stdout.match(/is a superuser/g)).toHaveLength(1);
    expect(stdout).not.toContain(new URL(database.adminUrl).password);
  });

  it("an unhealthy one makes `mds health` end with 1", async () => {
    await database.sql("update store.schema_migrations set checksum = 'other' where version = 1");
    const service = startService({ DATABASE_URL: database.url });
    await until(() => expect(service.output.stdout).toContain('"url":"http'));
    const url = /"url":"([^"]+)"/.exec(service.output.stdout)![1]!;
    await until(async () => {
      const { code, stdout } = await mds(["health", "--url", url], inScratch());
      expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining("is unhealthy") });
    });
  });

  it("listens and waits while the database is away", async () => {
    const proxy = await startDatabaseProxy(database.url);
    proxy.cut();
    const service = startService({ DATABASE_URL: proxy.url });
    await until(() => expect(service.output.stdout).toContain('"url":"http'));
    const url = /"url":"([^"]+)"/.exec(service.output.stdout)![1]!;
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    expect(await mds(["health", "--url", url], inScratch())).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("is degraded"),
    });
    expect(await stop(service, "SIGTERM")).toMatchObject({ code: 0, stderr: "" });
    await proxy.close();
  });

  it("says in one sentence that its port is taken", async () => {
    const other = await listening();
    const { port } = other.address() as AddressInfo;
    const args = ["serve", "--host", "127.0.0.1", "--port", String(port)];
    const { code, stderr } = await mds(args, inScratch({ DATABASE_URL: database.url }));
    other.close();
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^mds: Port ${port} on 127\\.0\\.0\\.1 is in use .* \\(listen_failed\\)\\n$`));
  });
});

describe("mds health", () => {
  it("ends with 1 where nothing listens, and where something else answers", async () => {
    const other = await listening();
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    other.on("request", (_request, response: ServerResponse) => response.end("{}"));
    expect(await mds(["health", "--url", url], inScratch())).toEqual({
      code: 1,
      signal: null,
      stdout: "",
      stderr: `mds: No store answers at ${url}: what answers there is something else. (service_unreachable)\n`,
    });
    other.closeAllConnections();
    other.close();
    const { code, stderr } = await mds(["health", "--url", `${url}/below/`], inScratch());
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mds: No store answers at http:.*ECONNREFUSED.*\(service_unreachable\)\n$/);
  });
});

async function listening(): Promise<Server> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

describe("on an embedded database", () => {
  const verb = (...args: string[]) => mds(args, inScratch());
  const postmaster = async (): Promise<number | undefined> => {
    const text = await readFile(join(scratch.path, ".mds/postgres/cluster/postmaster.pid"), "utf8").catch(
      () => undefined,
    );
    return text === undefined ? undefined : Number(text.split("\n")[0]);
  };
  const isAlive = async (pid: number): Promise<boolean> => (await processStart(pid)) !== undefined;

  it("R34 starts from nothing beside a .env of somebody else's, and leaves nothing running", async () => {
    await writeFile(join(scratch.path, ".env"), "SOME_OTHER_TOOL=1\n");
    const service = startService();
    await readyUrl(service);
    expect(service.output.stderr).toContain(`data    ${join(scratch.path, ".mds/postgres")} (an embedded PostgreSQL`);
    const pid = (await postmaster())!;
    expect(await isAlive(pid)).toBe(true);

    const bars = join(scratch.path, "bars.csv");
    await writeFile(bars, barFile(100));
    const loaded = await verb("ingest", "bars", bars, ...SET);
    expect(loaded).toMatchObject({ code: 0, stderr: expect.stringContaining("100 inserted") });
    expect(loaded.stderr).toContain("Using the embedded database in .mds, which another process runs.");

    expect(await stop(service, "SIGTERM")).toMatchObject({ code: 0 });
    expect(await isAlive(pid)).toBe(false);
    const { code, stdout, stderr } = await verb("query", "bars", "--symbol", "AAA", "--json");
    expect({ code, rows: (JSON.parse(stdout) as unknown[]).length }).toEqual({ code: 0, rows: 100 });
    expect(stderr).toBe("Using the embedded database in .mds, since no database URL is set.\n");
  });

  it("makes an admin token, keeps it, and shows only where", async () => {
    const first = startService();
    const url = await readyUrl(first);
    const path = join(scratch.path, ".mds/admin-token");
    const token = (await readFile(path, "utf8")).trim();
    expect(((await stat(path)).mode & 0o777).toString(8)).toBe("600");
    expect(first.output.stderr).toContain("  admin   token in .mds/admin-token\n");
    const statusOf = async (at: string, given: string) =>
      (await fetch(`${at}/tenants`, { headers: { authorization: `Bearer ${given}` } })).status;
    expect([await statusOf(url, token), await statusOf(url, `${token}x`)]).toEqual([200, 401]);
    const { stdout, stderr } = await stop(first, "SIGTERM");
    expect(stdout + stderr).not.toContain(token);

    const second = startService();
    expect(await statusOf(await readyUrl(second), token)).toBe(200);
    await stop(second, "SIGTERM");

    const given = startService({ ADMIN_TOKEN: "an-operators-own-token" });
    const other = await readyUrl(given);
    expect([await statusOf(other, "an-operators-own-token"), await statusOf(other, token)]).toEqual([200, 401]);
    expect(given.output.stderr).not.toContain("admin ");
  });

  it("finds its data again after kill -9", async () => {
    const first = startService();
    await readyUrl(first);
    const orphan = (await postmaster())!;
    await finished(startMds(["ingest", "bars", "-", ...SET], inScratch()), barFile(50));
    await stop(first, "SIGKILL");
    const second = startService();
    await readyUrl(second);
    expect(await isAlive(orphan)).toBe(false);
    const { stdout } = await verb("query", "bars", "--format", "ndjson");
    expect(stdout.trimEnd().split("\n")).toHaveLength(50);
    expect(await stop(second, "SIGTERM")).toMatchObject({ code: 0 });
  });

  it("stops in order while it is still starting", async () => {
    const service = startService();
    await until(() => expect(service.output.stdout).toContain("Listening."));
    expect(await stop(service, "SIGINT")).toMatchObject({ code: 0, stderr: "" });
    expect(await postmaster()).toBeUndefined();
    expect(await verb("ping")).toMatchObject({ code: 0 });
  });

  it("waits for a command that has its folder, and says so", async () => {
    const command = startMds(["ingest", "bars", "-", ...SET], inScratch());
    await until(() => expect(command.output.stderr).toContain("since no database URL is set"));
    const service = startService();
    await until(() => expect(service.output.stdout).toContain("Another process uses the embedded database; waiting"));
    expect(await finished(command, barFile(10))).toMatchObject({ code: 0 });
    await readyUrl(service);
    expect(await stop(service, "SIGTERM")).toMatchObject({ code: 0 });
  });

  it("ends with 1 and the reason when another service has its folder", async () => {
    await readyUrl(startService());
    const { code, stderr } = await startService().done;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^mds: The embedded database in .* is in use by the process with pid \d+: .*\(embedded_in_use\)\n$/,
    );
  });

  it("serves several commands at once, without a service", async () => {
    await verb("seed");
    const running = Array.from({ length: 3 }, () => startMds(["ingest", "bars", "-", ...SET], inScratch()));
    await until(() => {
      for (const { output } of running) expect(output.stderr).toContain("Using the embedded database");
    });
    const [owner, ...others] = running.sort((a) => (a.output.stderr.includes("since no database URL") ? -1 : 1));
    expect(await Promise.race([finished(owner!, barFile(10)), waitsForOthers(owner!)])).toBe("waits");
    for (const [at, other] of others.entries()) {
      expect(await finished(other, barFile(1_000, `S${at}`))).toMatchObject({ code: 0 });
    }
    expect(await owner!.done).toMatchObject({ code: 0 });
    expect(JSON.parse((await verb("query", "bars", "--json")).stdout)).toHaveLength(2_010);
  });

  async function waitsForOthers({ output }: RunningCommand): Promise<string> {
    await until(() => expect(output.stderr).toContain("waiting for other commands"));
    return "waits";
  }
});
