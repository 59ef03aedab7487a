/** Ingestion as a part of the service: while it idles, while it stops, and what it tells others. */
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  barLine,
  barLines,
  type IngestService,
  makeDataFolder,
  makeTenantWithToken,
  removeDataFolder,
  startIngestService,
} from "../support/ingest-service.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let proxy: DatabaseProxy;
let token: string;
let folder: string;
let service: IngestService | undefined;

beforeAll(async () => {
  database = await createTestDatabase();
  proxy = await startDatabaseProxy(database.url);
  token = (await makeTenantWithToken(database, "acme")).token;
});
beforeEach(async () => {
  folder = await makeDataFolder();
});
afterEach(async () => {
  proxy.heal();
  await service?.stop();
  service = undefined;
  await removeDataFolder(folder);
});
afterAll(async () => {
  await proxy.close();
  await database.drop();
});

const until = <T>(read: () => T | Promise<T>): Promise<T> => vi.waitFor(read, { timeout: 30_000, interval: 20 });

async function barsOf(symbol: string): Promise<number> {
  const [row] = await database.sql<{ n: string }>(
    "select count(*) as n from store.bars_data d join store.bars_series s using (series_id) where s.symbol = $1",
    [symbol],
  );
  return Number(row!.n);
}

describe("a service that idles", () => {
  it("R22 stores what comes after an idle hour, and waits for nothing meanwhile", async () => {
    const clock = new ManualClock();
    service = await startIngestService({ url: database.url, folder, token, clock });
    for (const round of [0, 1, 2]) {
      const line = barLine(round, { symbol: "IDLE" });
      expect(await service.send("bars", line)).toMatchObject({ status: 202, accepted_lines: 1 });
      await until(async () => {
        await clock.advance(250);
        expect(await barsOf("IDLE")).toBe(round + 1);
      });
      await until(() => expect(clock.timers).toBe(0));
      await clock.advance(3_600_000);
    }
  });
});

describe("a service that stops", () => {
  it("answers a body under way with what is accepted of it, and stores that", async () => {
    service = await startIngestService({ url: database.url, folder, token, env: { MDS_SHUTDOWN_TIMEOUT_MS: "2000" } });
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString())).on("error", () => undefined);
    socket.write(
      `POST /v1/bars HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: 9999999\r\n\r\n`,
    );
    socket.write(barLines(500).replaceAll("AAA", "STOPPED"));
    await until(async () => expect(await barsOf("STOPPED")).toBeGreaterThan(0));
    const stopped = service.stop();
    service = undefined;
    await until(() => expect(text).toMatch(/^HTTP\/1\.1 503 .*"accepted_lines":500/s));
    expect(text).toContain('"code":"shutting_down"');
    expect(text).toMatch(/^retry-after: \d+\r$/m);
    await stopped;
    expect(await barsOf("STOPPED")).toBe(500);
  });

  it("ends in time although it never opened its spool", async () => {
    const started = await startIngestService({ url: database.url, folder, token });
    await started.stop();
    expect(started.lines.at(-1)).toContain("Stopped.");
  });
});

describe("a service on the folder of another one", () => {
  it("takes no rows until the other one has ended, and then does", async () => {
    const first = await startIngestService({ url: database.url, folder, token });
    expect((await first.send("bars", barLine(0, { symbol: "HEIR" }))).status).toBe(202);
    service = await startIngestService({ url: database.url, folder, token });
    const second = service;
    expect(await second.send("bars", barLine(1, { symbol: "HEIR" }))).toMatchObject({
      ...{ status: 503, code: "spool_unavailable", accepted_lines: 0 },
    });
    expect(second.lines.join("")).toContain("spool_in_use");
    await first.stop();
    await until(async () => expect((await second.send("bars", barLine(1, { symbol: "HEIR" }))).status).toBe(202));
    await until(async () => expect(await barsOf("HEIR")).toBe(2));
  });
});

describe("pressure", () => {
  it("is told to the webhook of the settings, and counted", async () => {
    const heard: { level: string; queue_size: number }[] = [];
    const webhook = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => (body += String(chunk)));
      request.on("end", () => {
        heard.push(JSON.parse(body));
        response.end();
      });
    });
    webhook.listen(0, "127.0.0.1");
    await once(webhook, "listening");
    const { port } = webhook.address() as AddressInfo;
    service = await startIngestService({
      ...{ url: proxy.url, folder, token },
      env: {
        ...{ MDS_FB_ENABLE_HTTP_BROADCAST: "true", MDS_FB_HTTP_ENDPOINT: `http://127.0.0.1:${port}/hear` },
        ...{ MDS_COORDINATOR_CAPACITY: "64", MDS_COORDINATOR_WORKERS: "1", MDS_COORDINATOR_BATCH_SIZE: "16" },
        MDS_CB_HALF_OPEN_AFTER_SEC: "0.2",
      },
    });
    expect((await service.send("bars", barLine(0, { symbol: "PUSH" }))).status).toBe(202);
    await until(async () => expect(await barsOf("PUSH")).toBe(1));
    proxy.cut();
    expect((await service.send("bars", barLines(500).replaceAll("AAA", "PUSH"))).status).toBe(202);
    await until(() => expect(heard.map(({ level }) => level)).toContain("hard"));
    proxy.heal();
    await until(async () => expect(await barsOf("PUSH")).toBe(500));
    await until(() => expect(heard.at(-1)!.level).toBe("ok"));
    expect(await until(() => service!.metrics())).toContain('mds_feedback_deliveries_total{subscriber="http"');
    webhook.close();
  });
});
