/** Who may call the admin routes: decided before anything else is looked at, limited, and logged without the token. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ENDPOINTS } from "../../src/control/endpoints.ts";
import { BODY_LIMIT_BYTES } from "../../src/http/limits.ts";
import { ADMIN_TOKEN, type AdminService, startAdminService } from "../support/admin-service.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const ADMIN_ROUTES = Object.values(ENDPOINTS)
  .filter(({ auth }) => auth === "admin")
  .map(({ method, path }) => [method, path.replaceAll(/\{\w+\}/g, "x")] as const);

let database: TestDatabase;
let service: AdminService;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterEach(async () => {
  await service.stop();
});

afterAll(async () => {
  await database.drop();
});

async function codeOf(answer: Response): Promise<[number, string]> {
  expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  return [answer.status, ((await answer.json()) as { code: string }).code];
}

describe("without a token of the service's own", () => {
  it.each(ADMIN_ROUTES)("%s %s is off, whatever is sent", async (method, path) => {
    service = await startAdminService(database, {});
    for (const token of [null, ADMIN_TOKEN, "undefined", ""]) {
      expect(await codeOf(await service.send(method, path, { token }))).toEqual([503, "admin_disabled"]);
    }
  });
});

describe("with one", () => {
  it.each(ADMIN_ROUTES)("R33 %s %s is refused without it", async (method, path) => {
    service = await startAdminService(database);
    const none = await service.send(method, path, { token: null });
    expect(none.headers.get("www-authenticate")).toBe('Bearer realm="market-data-store"');
    expect(await codeOf(none)).toEqual([401, "unauthorized"]);
    for (const token of ["admin-token", `${ADMIN_TOKEN}x`, ADMIN_TOKEN.slice(0, -1), ADMIN_TOKEN.toUpperCase()]) {
      const wrong = await service.send(method, path, { token });
      expect(wrong.headers.get("www-authenticate")).toContain('error="invalid_token"');
      expect(await codeOf(wrong)).toEqual([401, "unauthorized"]);
    }
    const basic = Buffer.from(`admin:${ADMIN_TOKEN}`).toString("base64");
    const other = await service.send(method, path, { token: null, headers: { authorization: `Basic ${basic}` } });
    expect(await codeOf(other)).toEqual([401, "unauthorized"]);
    expect(await service.jobs.list()).toEqual([]);
  });

  it("refuses before it reads the body, the key, or the path's values", async () => {
    service = await startAdminService(database);
    const large = await service.send("POST", "/migrate", { token: null, body: "x".repeat(BODY_LIMIT_BYTES) });
    expect(await codeOf(large)).toEqual([401, "unauthorized"]);
    const headers = { "content-type": "application/xml", "idempotency-key": "a b" };
    expect(await codeOf(await service.send("POST", "/backfill/nothing", { token: null, headers }))).toEqual([
      401,
      "unauthorized",
    ]);
  });

  it("takes the scheme in any case", async () => {
    service = await startAdminService(database);
    const answer = await service.send("GET", "/jobs", {
      token: null,
      headers: { authorization: `bEARER  ${ADMIN_TOKEN}` },
    });
    expect(answer.status).toBe(200);
  });

  it("shuts out who guesses, the right token too, and logs each without it", async () => {
    service = await startAdminService(database);
    const guess = (at: number) => service.send("GET", "/jobs", { token: `guess-number-${at}-secret` });
    for (let at = 0; at < 10; at++) expect(await codeOf(await guess(at))).toEqual([401, "unauthorized"]);
    for (const answer of [await guess(10), await service.send("GET", "/jobs")]) {
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await codeOf(answer)).toEqual([429, "too_many_attempts"]);
    }
    expect((await service.send("GET", "/health", { token: null })).status).toBeLessThan(504);
    const log = service.lines.join("");
    expect(log.match(/with a wrong token was refused/g)).toHaveLength(10);
    expect(log).toContain('"endpoint":"/jobs"');
    expect(log).not.toMatch(/guess-number|correct-horse/);
  });

  it("answers a client with an old token shortly, and does not shut out its neighbours", async () => {
    service = await startAdminService(database);
    const codes: string[] = [];
    for (let count = 0; count < 30; count++) {
      codes.push((await codeOf(await service.send("GET", "/jobs", { token: "an-old-token-of-last-year" })))[1]);
    }
    expect(codes).toEqual([...Array(10).fill("unauthorized"), ...Array(20).fill("too_many_attempts")]);
    expect((await service.send("GET", "/jobs")).status).toBe(200);
    expect(service.lines.join("").match(/was refused/g)).toHaveLength(10);
  });
});
