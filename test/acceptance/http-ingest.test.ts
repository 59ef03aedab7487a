/** Rows over real HTTP into a real database: every dataset and form of body, every answer, and whose the rows are. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
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
import { MDS } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const ROOT = join(import.meta.dirname, "../..");
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

const ROWS = {
  options: {
    ...{ vendor: "v", symbol: "AAA", expiry: "2024-03-15", option_type: "C", strike: "185.5" },
    ...{ ts: "2024-01-02T00:00:00Z", bid: 1.5 },
  },
  fundamentals: { vendor: "v", symbol: "AAA", asof: "2024-01-02T00:00:00Z", net_income: "12.34" },
  news: { vendor: "v", published_at: "2024-01-02T00:00:00Z", title: "T", url: "https://news.example/1" },
  signals: { vendor: "v", symbol: "AAA", name: "n", ts: "2024-01-02T00:00:00Z", value: 1 },
} as const;

async function count(table: string, where = "true"): Promise<number> {
  const [row] = await database.sql<{ n: string }>(`select count(*) as n from store.${table} where ${where}`);
  return Number(row!.n);
}

/** Bars of a symbol, whoever's they are. */
async function barsOf(symbol: string): Promise<number> {
  const [row] = await database.sql<{ n: string }>(
    "select count(*) as n from store.bars_data d join store.bars_series s using (series_id) where s.symbol = $1",
    [symbol],
  );
  return Number(row!.n);
}

const until = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 20_000, interval: 20 });

describe("POST /v1/{dataset}", () => {
  it.each([
    ["NDJSON", barLines(5).replaceAll("AAA", "PLAIN"), "PLAIN"],
    ["NDJSON in gzip", gzipSync(barLines(5).replaceAll("AAA", "GZIP")), "GZIP"],
    ["a JSON array", `[${barLines(5).trim().replaceAll("\n", ",").replaceAll("AAA", "ARRAY")}]`, "ARRAY"],
  ])("takes %s, and its rows are in the database", async (_form, body, symbol) => {
    expect(await service.send("bars", body)).toMatchObject({
      ...{ status: 202, accepted_lines: 5, rejected: { count: 0, first: [] } },
    });
    await until(async () => expect(await barsOf(symbol)).toBe(5));
  });

  it.each(Object.entries(ROWS))("takes %s", async (dataset, row) => {
    expect(await service.send(dataset, JSON.stringify(row))).toMatchObject({ status: 202, accepted_lines: 1 });
    await until(async () => expect(await count(`${dataset}_data`)).toBe(1));
  });

  it("changes nothing when the same body comes again", async () => {
    const body = barLines(50).replaceAll("AAA", "AGAIN");
    await service.send("bars", body);
    await until(async () => expect(await barsOf("AGAIN")).toBe(50));
    const versions =
      "select sum(d.xmin::text::int8) as x from store.bars_data d join store.bars_series s using (series_id) where s.symbol = 'AGAIN'";
    const before = await database.sql(versions);
    expect(await service.send("bars", body)).toMatchObject({ status: 202, accepted_lines: 50 });
    await until(async () =>
      expect(await service.metrics()).toMatch(/mds_rows_written_total\{dataset="bars",result="unchanged"\} 50/),
    );
    expect(await database.sql(versions)).toEqual(before);
  });

  it("rejects bad lines alone, with line, code and reason", async () => {
    const lines = [barLine(0), "{", barLine(1, { low_price: 99 }), barLine(2, { colour: 1 }), barLine(3)];
    const body = lines.map((line) => line.trim().replaceAll("AAA", "MIXED")).join("\n");
    const answer = await service.send("bars", body);
    expect(answer).toMatchObject({ status: 202, accepted_lines: 5, rejected: { count: 3 } });
    expect(answer.rejected.first.map(({ line, code }) => [line, code])).toEqual([
      [2, "json_invalid"],
      [3, "bar_impossible"],
      [4, "field_unknown"],
    ]);
    await until(async () => expect(await barsOf("MIXED")).toBe(2));
  });

  it("lists the first hundred rejections and counts all", async () => {
    const answer = await service.send("bars", "{}\n".repeat(250));
    expect(answer).toMatchObject({ status: 422, code: "rows_rejected", accepted_lines: 250, rejected: { count: 250 } });
    expect(answer.rejected.first).toHaveLength(100);
  });

  it.each([
    ["no rows", "[]", 202, 0],
    ["text that is neither form", "ts,symbol\n1,2\n", 422, 0],
    ["an array that breaks off", `[${barLine(0).trim()},`, 422, 1],
    ["gzip that breaks off", gzipSync(barLines(2_000)).subarray(0, -20), 422, undefined],
  ])("answers %s", async (_what, body, status, accepted) => {
    const answer = await service.send("bars", body);
    expect(answer).toMatchObject({ status, ...(accepted !== undefined && { accepted_lines: accepted }) });
  });

  it("refuses a body that is said to be too large, before a row is accepted", async () => {
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString()));
    const head = `POST /v1/bars HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tenant.token}\r\nContent-Length: 67108865\r\n\r\n`;
    socket.write(head + barLine(0).replaceAll("AAA", "LARGE"));
    await until(() => expect(text).toMatch(/^HTTP\/1\.1 413/));
    await until(() => expect(text).toMatch(/"accepted_lines":0/));
    socket.destroy();
    expect(await barsOf("LARGE")).toBe(0);
  });

  it("says up to where a body that was cut off is accepted, so that the client goes on there", async () => {
    const body = barLines(6_000).replaceAll("AAA", "CUT");
    const half = Math.floor(body.length * 0.6);
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.write(
      `POST /v1/bars HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tenant.token}\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    socket.write(body.slice(0, half));
    socket.end();
    await once(socket, "close");
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('"code":"body_incomplete"');
    const accepted = Number(/"accepted_lines":(\d+)/.exec(text)![1]);
    // Every line that was sent whole.
    expect(accepted).toBe(body.slice(0, half).split("\n").length - 1);
    await until(async () => expect(await barsOf("CUT")).toBeGreaterThanOrEqual(accepted));
    const rest = body.split("\n").slice(accepted).join("\n");
    expect(await service.send("bars", rest)).toMatchObject({ status: 202 });
    await until(async () => expect(await barsOf("CUT")).toBe(6_000));
  });

  it("keeps what came before a connection that broke; the whole body again changes nothing about that", async () => {
    const body = barLines(6_000).replaceAll("AAA", "RESET");
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /v1/bars HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tenant.token}\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    socket.write(body.slice(0, Math.floor(body.length * 0.6)));
    await until(async () => expect(await barsOf("RESET")).toBeGreaterThan(0));
    socket.resetAndDestroy();
    expect(await service.send("bars", body)).toMatchObject({ status: 202, accepted_lines: 6_000 });
    await until(async () => expect(await barsOf("RESET")).toBe(6_000));
  });

  it("answers 413 to a body without a length when it becomes too large, with what was accepted by then", async () => {
    // Lines that are too long cost little to refuse.
    const long = Buffer.alloc(5_000_001, "x").fill("\n", 5_000_000);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (sent === 0) controller.enqueue(Buffer.from(barLine(0).replaceAll("AAA", "ENDLESS")));
        else controller.enqueue(long);
        if (++sent === 20) controller.close();
      },
    });
    const answer = await service.send("bars", body);
    expect(answer).toMatchObject({ status: 413, code: "body_too_large" });
    // 64 MiB hold thirteen of the long lines.
    expect(answer.accepted_lines).toBe(14);
    expect(answer.rejected).toMatchObject({
      count: 13,
      first: [{ line: 2, code: "line_too_long" }, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}],
    });
    await until(async () => expect(await barsOf("ENDLESS")).toBe(1));
  });

  it("knows no other datasets, no other methods and no query", async () => {
    expect(await service.send("bars?dry_run=true", barLine(0))).toMatchObject({
      status: 400,
      code: "request_invalid",
      accepted_lines: 0,
    });
    expect(await service.send("prices", barLine(0))).toMatchObject({
      status: 404,
      code: "not_found",
      accepted_lines: 0,
    });
    expect((await fetch(`${service.url}/v1/bars`)).status).toBe(405);
  });
});

describe("ingest tokens", () => {
  it("without one, with a wrong one, and with a revoked one nothing is taken", async () => {
    const revoked = await makeTenantWithToken(database, "gone");
    await database.sql("select set_config('role', 'mds_admin', false)");
    await database.sql("select mds.revoke_ingest_token('gone', $1)", [revoked.tokenId]);
    await database.sql("reset role");
    const unknown = revoked.token.replace(/.{6}$/, "AAAAAA");
    const answers = [];
    for (const token of ["", "nonsense", revoked.token, unknown]) {
      const { status, code, accepted_lines } = await service.send("bars", barLine(0), { token });
      answers.push([status, code, accepted_lines]);
    }
    const deleted = await makeTenantWithToken(database, "leaving");
    await database.sql("update store.tenants set state = 'deleting' where slug = 'leaving'");
    const { status, code, detail } = await service.send("bars", barLine(0), { token: deleted.token });
    answers.push([status, code, 0]);
    expect(detail).toBe((await service.send("bars", barLine(0), { token: unknown })).detail);
    expect(answers).toEqual([
      [401, "unauthorized", 0],
      [401, "unauthorized", 0],
      [403, "token_refused", 0],
      [403, "token_refused", 0],
      [403, "token_refused", 0],
    ]);
    expect(service.lines.join("")).not.toContain(revoked.token);
  });

  it("names the tenant whose the rows are", async () => {
    const other = await makeTenantWithToken(database, "other");
    await service.send("bars", barLine(0).replaceAll("AAA", "WHOSE"), { token: other.token });
    await service.send("bars", barLine(1).replaceAll("AAA", "WHOSE"));
    await until(async () => expect(await barsOf("WHOSE")).toBe(2));
    const rows = await database.sql(
      "select tenant_id::text from store.bars_series where symbol = 'WHOSE' order by series_id",
    );
    expect(new Set(rows.map(({ tenant_id }) => tenant_id))).toEqual(new Set([other.id, tenant.id]));
  });
});

describe("the document on HTTP", () => {
  it.skipIf(!existsSync("/usr/bin/curl"))("shows commands that do what it says", async () => {
    const text = readFileSync(join(ROOT, "docs/http.md"), "utf8");
    const commands = /^## Sending rows\n\n```sh\n([\s\S]*?)^```/m.exec(text)![1]!;
    const npx = `npx() { shift; "${process.execPath}" "${MDS}" "$@"; }`;
    const script = `set -e\n${npx}\n${commands}`.replaceAll("END\n\n", "END\necho\n");
    const { stdout } = await promisify(execFile)("bash", ["-c", script], {
      cwd: folder,
      env: { ...process.env, MDS_DSN: database.url, STORE_URL: service.url },
      timeout: 50_000,
    });
    const [bars, signals] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    expect(bars).toMatchObject({
      accepted_lines: 2,
      rejected: { count: 1, first: [{ line: 2, code: "bar_impossible" }] },
    });
    expect(signals).toEqual({ accepted_lines: 1, rejected: { count: 0, first: [] } });
  });
});

// Last: the address is limited from then on.
describe("an address that sends wrong tokens", () => {
  it("is told to wait, while the right token still passes", async () => {
    const statuses = new Set<number>();
    for (let attempt = 0; attempt < 15; attempt++) {
      const answer = await service.send("bars", barLine(0), { token: "nonsense" });
      statuses.add(answer.status);
      expect(answer.accepted_lines).toBe(0);
      if (answer.status === 429) expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
    }
    expect(statuses).toContain(429);
    expect((await service.send("bars", barLine(0))).status).toBe(202);
  });
});

describe("the spool", () => {
  it("is ready for ingestion, also for a prober, and its metrics move", async () => {
    expect((await fetch(`${service.url}/readyz?for=ingest`)).status).toBe(200);
    const metrics = await service.metrics();
    for (const name of [
      "mds_spool_records",
      "mds_coord_items_submitted_total",
      "sink_writes_total",
      "mds_dead_letters",
    ]) {
      expect(metrics).toContain(name);
    }
  });
});
