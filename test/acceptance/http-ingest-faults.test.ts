/** Rows that were accepted over HTTP while something went wrong: each is in the database when it is over. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  barLines,
  makeDataFolder,
  makeTenantWithToken,
  removeDataFolder,
  startIngestService,
} from "../support/ingest-service.ts";
import { type RunningCommand, startMds } from "../support/mds-command.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const ROWS = 5_000;
let database: TestDatabase;
let proxy: DatabaseProxy;
let token: string;
let folder: string;
let symbols = 0;
let symbol: string;

beforeAll(async () => {
  database = await createTestDatabase();
  proxy = await startDatabaseProxy(database.url);
  token = (await makeTenantWithToken(database, "acme")).token;
});
beforeEach(async () => {
  folder = await makeDataFolder();
  symbol = `S${symbols++}`;
});
afterEach(() => {
  proxy.heal();
  return removeDataFolder(folder);
});
afterAll(async () => {
  await proxy.close();
  await database.drop();
});

const until = <T>(read: () => T | Promise<T>): Promise<T> => vi.waitFor(read, { timeout: 40_000, interval: 50 });
const lines = (): string => barLines(ROWS).replaceAll("AAA", symbol);

async function stored(): Promise<number> {
  const [row] = await database.sql<{ n: string }>(
    "select count(*) as n from store.bars_data d join store.bars_series s using (series_id) where s.symbol = $1",
    [symbol],
  );
  return Number(row!.n);
}

/** `mds serve` as a process of its own, on the database by way of the proxy. */
async function startProcess(): Promise<{ readonly url: string; readonly process: RunningCommand }> {
  const environment = {
    ...{ DATABASE_URL: proxy.url, ADMIN_DATABASE_URL: database.adminUrl, MDS_DATA_DIR: folder },
    // Jobs have tests of their own, and an open breaker is probed soon.
    ...{ MDS_JOBS_ENABLED: "false", MDS_CB_HALF_OPEN_AFTER_SEC: "0.5" },
  };
  const process = startMds(["serve", "--host", "127.0.0.1", "--port", "0"], { env: environment });
  const url = await until(() => /"url":"(http[^"]+)"/.exec(process.output.stdout)![1]!);
  await until(async () => expect((await fetch(`${url}/readyz?for=ingest`)).status).toBe(200));
  return { url, process };
}

async function post(url: string, body: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${url}/v1/bars`, { method: "POST", headers, body });
  await response.text();
  return response.status;
}

describe("rows accepted over HTTP", () => {
  it("survive kill -9 of the service while the database is away", async () => {
    const first = await startProcess();
    expect(await post(first.url, barLines(1).replaceAll("AAA", `${symbol}-WARM`))).toBe(202);
    proxy.cut();
    expect(await post(first.url, lines())).toBe(202);
    first.process.child.kill("SIGKILL");
    await first.process.done;
    expect(await stored()).toBe(0);
    proxy.heal();
    const second = await startProcess();
    await until(async () => expect(await stored()).toBe(ROWS));
    second.process.child.kill("SIGTERM");
    expect((await second.process.done).code).toBe(0);
  });

  it("stay in the spool over an orderly stop while the database is away", async () => {
    const first = await startProcess();
    expect(await post(first.url, barLines(1).replaceAll("AAA", `${symbol}-WARM`))).toBe(202);
    proxy.cut();
    expect(await post(first.url, lines())).toBe(202);
    first.process.child.kill("SIGTERM");
    expect((await first.process.done).code).toBe(0);
    proxy.heal();
    const second = await startProcess();
    await until(async () => expect(await stored()).toBe(ROWS));
    second.process.child.kill("SIGTERM");
    await second.process.done;
  });

  it("are stored by the same service once the database is back, which takes rows all the while", async () => {
    const service = await startIngestService({
      ...{ url: proxy.url, folder, token },
      env: { MDS_CB_HALF_OPEN_AFTER_SEC: "0.2" },
    });
    try {
      expect((await service.send("bars", barLines(1).replaceAll("AAA", `${symbol}-WARM`))).status).toBe(202);
      proxy.cut();
      expect(await service.send("bars", lines())).toMatchObject({ status: 202, accepted_lines: ROWS });
      expect((await fetch(`${service.url}/readyz?for=ingest`)).status).toBe(200);
      proxy.heal();
      await until(async () => expect(await stored()).toBe(ROWS));
    } finally {
      await service.stop();
    }
  });

  it("are refused with 503 while the folder cannot be written, and the service goes on", async () => {
    // Where the folder of the spool should be there is a file.
    writeFileSync(join(folder, "spool"), "");
    const service = await startIngestService({ url: database.url, folder, token });
    try {
      const answer = await service.send("bars", lines());
      expect(answer).toMatchObject({ status: 503, code: "spool_unavailable", accepted_lines: 0 });
      expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
      // Readiness tells of the last check.
      await until(async () => expect((await fetch(`${service.url}/readyz?for=ingest`)).status).toBe(503));
      expect((await fetch(`${service.url}/livez`)).status).toBe(200);
      const health = await until(async () => {
        const answer = await fetch(`${service.url}/health`);
        expect(answer.status).toBe(503);
        return answer.json();
      });
      const spool = { name: "spool", state: "unhealthy", details: { code: "spool_unavailable" } };
      expect(health).toMatchObject({ state: "unhealthy", components: expect.arrayContaining([spool]) });
      expect((await fetch(`${service.url}/readyz?for=ingest`)).status).toBe(503);
      rmSync(join(folder, "spool"));
      await until(async () => expect((await service.send("bars", lines())).status).toBe(202));
      await until(async () => expect(await stored()).toBe(ROWS));
      expect(existsSync(join(folder, "spool"))).toBe(true);
    } finally {
      await service.stop();
    }
  });

  it("are refused with 429 when the spool is nearly full, and taken again when it has room", async () => {
    const service = await startIngestService({
      ...{ url: proxy.url, folder, token },
      env: { MDS_CB_HALF_OPEN_AFTER_SEC: "0.2", MDS_SPOOL_MAX_BYTES: "2097152" },
    });
    try {
      expect((await service.send("bars", barLines(1).replaceAll("AAA", `${symbol}-WARM`))).status).toBe(202);
      proxy.cut();
      let accepted = 0;
      const refused = await until(async () => {
        const answer = await service.send("bars", barLines(accepted + 1_000, accepted).replaceAll("AAA", symbol));
        accepted += answer.accepted_lines;
        expect(answer.status).toBe(429);
        return answer;
      });
      expect(refused.code).toBe("queue_full");
      expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
      // Full while the database is away needs a person.
      const full = expect.objectContaining({ name: "spool", state: "unhealthy" });
      await until(async () => {
        const health = (await (await fetch(`${service.url}/health`)).json()) as { components: object[] };
        expect(health.components).toContainEqual(full);
        expect((await fetch(`${service.url}/readyz?for=ingest`)).status).toBe(503);
      });
      proxy.heal();
      await until(async () => expect(await stored()).toBe(accepted));
      expect((await service.send("bars", barLines(accepted + 1, accepted).replaceAll("AAA", symbol))).status).toBe(202);
    } finally {
      await service.stop();
    }
  });
});
