import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BackfillAccess } from "../../src/jobs/backfill/backfill-access.ts";
import { allowedSource } from "../../src/jobs/backfill/backfill-access.ts";
import { ingestFilesJob } from "../../src/jobs/backfill/ingest-files-job.ts";
import { openUrl } from "../../src/jobs/backfill/remote-files.ts";
import { barsCsv } from "../support/bars.ts";
import { type AttemptOptions, attemptJob } from "../support/job-context.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const TOKEN_SETTING = "MDS_BACKFILL_CREDENTIAL_ARCHIVE";
const tenant = "default";

let database: TestDatabase;
let server: Server;
let answer: RequestListener;
let host: string;

beforeAll(async () => {
  database = await createTestDatabase();
  server = createServer((request, response) => answer(request, response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await database.drop();
});

const access = (): BackfillAccess => ({
  dirs: [],
  hosts: [host],
  credentials: new Map([[TOKEN_SETTING, "let-me-in"]]),
});

const run = (files: readonly string[], input: object = {}, options: AttemptOptions = {}) =>
  attemptJob(database, ingestFilesJob(access()), { tenant, dataset: "bars", files: [...files], ...input }, options);

describe("URLs of a backfill", () => {
  it("are fetched with the credential that the job names, which is shown nowhere", async () => {
    let seen: string | undefined;
    answer = (request, response) => {
      seen = request.headers.authorization;
      response.end(gzipSync(barsCsv(0, 6, "GZ")));
    };
    const url = `http://${host}/bars.csv.gz?key=hidden`;
    const { result, error, reports } = await run([url], { credentials: TOKEN_SETTING });
    expect(error).toBeUndefined();
    expect(seen).toBe("Bearer let-me-in");
    expect(result).toMatchObject({ rows: { inserted: 6 }, by_file: [{ file: `http://${host}/bars.csv.gz` }] });
    expect(JSON.stringify([result, reports.map(({ message }) => message)])).not.toMatch(/hidden|let-me-in/);
  });

  it.each([
    ["of another host", () => "http://other.example/x.csv", /not among MDS_BACKFILL_HOSTS/],
    ["of another port", () => "http://127.0.0.1:1/x.csv", /not among MDS_BACKFILL_HOSTS/],
    ["with credentials in them", () => `http://user:pass@${host}/x.csv`, /has credentials in it/],
    ["of another scheme", () => `ftp://${host}/x.csv`, /only http and https/],
  ])("%s are refused before the job is queued", (_, url, reason) => {
    const job = ingestFilesJob(access());
    const input = { tenant, dataset: "bars", files: [url()], upper_case: false };
    const error = expect.objectContaining({
      code: "backfill_refused",
      message: expect.stringMatching(reason),
    });
    expect(() => job.accept!(input)).toThrow(error);
    expect(() => job.accept!(input)).not.toThrow(/pass/);
  });

  it("with a credential that is not set are refused", () => {
    const job = ingestFilesJob(access());
    const input = {
      tenant,
      dataset: "bars",
      files: [`http://${host}/`],
      upper_case: false,
      credentials: "ADMIN_TOKEN",
    };
    expect(() => job.accept!(input)).toThrow(/There is no credential ADMIN_TOKEN/);
  });

  it("may redirect on their own host, and not to another one even where that is allowed", async () => {
    answer = (request, response) => {
      const to = { "/a": "/b", "/b": `http://${host}/c`, "/out": "http://localhost:80/x", "/loop": "/loop" }[
        request.url!
      ];
      if (to === undefined) response.end(barsCsv(0, 2, "RE"));
      else response.writeHead(302, { location: to }).end();
    };
    expect((await run([`http://${host}/a`])).result).toMatchObject({ rows: { inserted: 2 } });
    const job = ingestFilesJob({ ...access(), hosts: [host, "localhost"] });
    const files = [`http://${host}/out`, `http://${host}/loop`];
    const { error } = await attemptJob(database, job, { tenant, dataset: "bars", files });
    expect(error).toMatchObject({
      details: {
        result: {
          failures: [
            { code: "backfill_refused", message: expect.stringContaining("not the same host") },
            { code: "file_unreadable", message: expect.stringContaining("more than 5 times") },
          ],
        },
      },
    });
  });

  it("that say no fail for good; those that break are tried again, after the others were read", async () => {
    let isBroken = true;
    answer = (request, response) => {
      if (request.url === "/none") response.writeHead(404).end();
      else if (request.url === "/busy" && isBroken) response.writeHead(503).end();
      else if (request.url === "/cut" && isBroken) {
        response.writeHead(200, { "content-length": "100000" });
        response.write(barsCsv(0, 50));
        setImmediate(() => response.destroy());
      } else response.end(barsCsv(0, 100));
    };
    const files = ["/busy", "/cut", "/whole"].map((path) => `http://${host}${path}`);
    const { error, checkpoint } = await run(files);
    expect(error).toMatchObject({
      code: "source_unavailable",
      retryable: true,
      details: { result: { files: { read: 1, failed: 2 }, failures: [{ code: "source_unavailable" }, {}] } },
    });
    isBroken = false;
    const again = await run(files, {}, { checkpoint });
    expect(again.error).toBeUndefined();
    expect(again.result).toMatchObject({ files: { read: 3, failed: 0 }, rows: { read: 300 } });
    expect((await run([`http://${host}/none`])).error).toMatchObject({ code: "backfill_incomplete", retryable: false });
  });

  it.each([
    ["before the answer", false],
    ["in the middle", true],
  ])("that fall silent %s are given up", async (_, hasBegun) => {
    answer = (_request, response) => {
      if (hasBegun) response.write(barsCsv(0, 5));
    };
    const name = allowedSource(`http://${host}/slow`, access());
    if (name.kind !== "url") return expect.unreachable();
    const options = { signal: new AbortController().signal, answerTimeoutMs: 100, idleTimeoutMs: 100 };
    const reading = (async () => {
      const { stream } = await openUrl(name.url, access(), options);
      for await (const _piece of stream);
    })();
    await expect(reading).rejects.toMatchObject({
      code: "source_unavailable",
      message: expect.stringContaining("did not answer in time"),
    });
  });
});
