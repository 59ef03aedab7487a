/** Rows over real HTTP into a real database: every dataset and form of body, every answer, and whose the rows are. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  barLine,
  barLines,
  type IngestService,
  makeDataFolder,
  makeTenantWithToken,
  removeDataFolder,
  startIngestService,
} from "../support/ingest-service.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let folder: string;
let tenant: Awaited<ReturnType<typeof makeTenantWithToken>>;
let service: IngestService;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await makeDataFolder();
  tenant = await makeTenantWithToken(database, "acme");
  service = await startIngestService({ url: database.url, folder, token: tenant.token });
});

afterAll(async () => {
  await service.stop();
  await database.drop();
  await removeDataFolder(folder);
});

const TABLES = {
  bars: "bars_data",
  options: "options_data",
  fundamentals: "fundamentals_data",
  news: "news_data",
  signals: "signals_data",
};

async function count(table: string, where = "true"): Promise<number> {
  const [row] = await database.sql<{ n: string }>(`select count(*) as n from store.${table} where ${where}`);
  return Number(row!.n);
}

const until = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 20_000, interval: 20 });

describe("POST /v1/{dataset}", () => {
  it("works", async () => {
    const answer = await service.send("bars", barLines(1000));
    expect(answer).toMatchObject({ status: 202, accepted_lines: 1000, rejected: { count: 0, first: [] } });
    await until(async () => expect(await count("bars_data")).toBe(1000));
  });
});
