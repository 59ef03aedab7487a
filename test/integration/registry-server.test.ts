/** The schema registry over HTTP, on a database of its own, and the store's client of it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { JsonSchema } from "../../src/contracts/schema-hash.ts";
import { schemaSha256 } from "../../src/contracts/schema-hash.ts";
import { HttpRegistry } from "../../src/registry/http-registry.ts";
import { type RegistryServer, startRegistryServer } from "../../src/registry/server.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const TOKEN = "a-token-of-this-test";
const schema = (properties: object, required: string[] = []): JsonSchema => ({
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  properties,
  required,
});
const first = schema({ level: { type: "string" } }, ["level"]);
const wider = schema({ level: { type: "string" }, note: { type: "string" } }, ["level"]);
const breaking = schema({ level: { type: "integer" } }, ["level"]);

let database: TestDatabase;
let lines: string[];
const servers: RegistryServer[] = [];

beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});
afterAll(async () => {
  await database.drop();
});

async function start(options: { token?: string; databaseUrl?: string; adminUrl?: string } = {}) {
  lines = [];
  const { token = TOKEN, databaseUrl = database.url, adminUrl = database.adminUrl } = options;
  const log = createLogger({ level: "info", stream: { write: (line) => void lines.push(line) } });
  const server = await startRegistryServer({ host: "127.0.0.1", port: 0, databaseUrl, adminUrl, token, log });
  servers.push(server);
  return server.url;
}

let names = 0;
const newName = () => `test.Schema${++names}`;

const put = (url: string, path: string, body: unknown, token: string | null = TOKEN) =>
  fetch(`${url}/schemas/${path}`, {
    method: "PUT",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": "application/json", ...(token !== null && { authorization: `Bearer ${token}` }) },
  });

describe("the schema registry", () => {
  it("keeps every version, gives out the newest, and each by its number", async () => {
    const url = await start();
    const name = newName();
    const made = await put(url, `v1/${name}`, first);
    expect(made.status).toBe(201);
    expect(await made.json()).toMatchObject({ track: "v1", name, version: 1, sha256: schemaSha256(first) });
    expect((await put(url, `v1/${name}.schema`, first)).status).toBe(200);
    expect((await put(url, `v1/${name}`, wider)).status).toBe(201);
    const newest = (await (await fetch(`${url}/schemas/v1/${name}.schema`)).json()) as { updated_at: string };
    expect(newest).toEqual({
      track: "v1",
      name,
      version: 2,
      sha256: schemaSha256(wider),
      updated_at: expect.stringMatching(/^20.*Z$/),
      content: wider,
    });
    expect(await (await fetch(`${url}/schemas/v1/${name}?version=1`)).json()).toMatchObject({
      version: 1,
      content: first,
    });
    expect((await fetch(`${url}/schemas/v1/${name}?version=3`)).status).toBe(404);
    expect((await fetch(`${url}/schemas/v2/${name}`)).status).toBe(404);
  });

  it("lists its tracks, and the schemas of one", async () => {
    const url = await start();
    const name = newName();
    await put(url, `v7/${name}`, first);
    const listed = { name, version: 1, sha256: schemaSha256(first), updated_at: expect.any(String) };
    const index = (await (await fetch(`${url}/index`)).json()) as { tracks: { track: string }[] };
    expect(index.tracks.filter(({ track }) => track === "v7")).toEqual([{ track: "v7", schemas: [listed] }]);
    expect(await (await fetch(`${url}/schemas/v7`)).json()).toEqual({ track: "v7", schemas: [listed] });
    expect(await (await fetch(`${url}/schemas/v9`)).json()).toEqual({ track: "v9", schemas: [] });
  });

  it("answers 304 to who has it, until there is a newer one", async () => {
    const url = await start();
    const path = `${url}/schemas/v1/${newName()}`;
    const etag = (await put(url, path.slice(`${url}/schemas/`.length), first)).headers.get("etag")!;
    expect((await fetch(path)).headers.get("etag")).toBe(etag);
    const known = (header: string) => fetch(path, { headers: { "if-none-match": header } });
    expect((await known(etag)).status).toBe(304);
    expect((await known(`"other", W/${etag}`)).status).toBe(304);
    expect((await known('"other"')).status).toBe(200);
    await put(url, path.slice(`${url}/schemas/`.length), wider);
    expect((await known(etag)).status).toBe(200);
  });

  it("refuses what breaks with the version before, with the reasons, unless it is told not to look", async () => {
    const url = await start();
    const name = newName();
    await put(url, `v1/${name}`, first);
    const refused = await put(url, `v1/${name}`, breaking);
    expect(refused.status).toBe(409);
    expect(refused.headers.get("content-type")).toContain("application/problem+json");
    expect(await refused.json()).toMatchObject({
      code: "schema_incompatible",
      details: { reasons: ["level no longer allows string."], compatibility: "backward", version: 1 },
    });
    const optional = schema({ level: { type: "string" } });
    expect((await put(url, `v1/${name}?compatibility=full`, optional)).status).toBe(409);
    expect((await put(url, `v1/${name}?compatibility=backward`, optional)).status).toBe(201);
    expect((await put(url, `v1/${name}?compatibility=none`, breaking)).status).toBe(201);
    expect(await (await fetch(`${url}/schemas/v1/${name}`)).json()).toMatchObject({ version: 3, content: breaking });
  });

  it.each([
    ["a list", "[]"],
    ["no JSON", "{"],
    ["of another draft", { $schema: "http://json-schema.org/draft-07/schema#" }],
    ["no schema", { type: "strnig" }],
    ["a pattern that is none", { type: "string", pattern: "(" }],
    ["not whole", { properties: { a: { $ref: "#/$defs/a" } } }],
    ["of another document", { $ref: "https://example.com/a" }],
    ["too deep", JSON.parse(`${'{"not":'.repeat(70)}{}${"}".repeat(70)}`)],
  ])("refuses a body that is %s", async (_, body) => {
    const url = await start();
    const answer = await put(url, `v1/${newName()}`, body);
    expect(answer.status).toBe(422);
    expect(((await answer.json()) as { code: string }).code).toMatch(/^(schema|body)_invalid$/);
  });

  it.each([
    ["GET", "v0/a", 400],
    ["GET", "1/a", 400],
    ["GET", "v1/a%2F..%2Fb", 400],
    ["GET", "v1/a?version=x", 400],
    ["GET", "v1/.schema", 400],
    ["POST", "v1/a", 405],
  ])("answers %s /schemas/%s with %i", async (method, path, status) => {
    const url = await start();
    const answer = await fetch(`${url}/schemas/${path}`, { method });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toContain("application/problem+json");
  });

  it("lets nobody publish without the token, and nobody at all when it has none", async () => {
    const url = await start();
    expect((await put(url, "v1/a", first, null)).status).toBe(401);
    expect((await put(url, "v1/a", first, "another-token-than-it-has")).status).toBe(401);
    expect(lines.join("")).not.toContain("another-token");
    const server = await startRegistryServer({
      ...{ host: "127.0.0.1", port: 0, databaseUrl: database.url, token: undefined },
      log: createLogger({ level: "silent" }),
    });
    servers.push(server);
    const answer = await put(server.url, "v1/a", first);
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([503, "registry_read_only"]);
  });

  it("gives versions that come at once different numbers", async () => {
    const [one, other] = [await start(), await start()];
    const name = newName();
    await put(one, `v1/${name}`, first);
    const field = (at: number) => schema({ level: { type: "string" }, [`f${at}`]: { type: "string" } }, ["level"]);
    const answers = await Promise.all([0, 1, 2, 3].map((at) => put(at % 2 ? one : other, `v1/${name}`, field(at))));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
    const versions = await Promise.all(
      answers.map(async (answer) => ((await answer.json()) as { version: number }).version),
    );
    expect(new Set(versions)).toEqual(new Set([2, 3, 4, 5]));
  });

  it("counts requests by their pattern, and what was published", async () => {
    const url = await start();
    const name = newName();
    await put(url, `v1/${name}`, first);
    await put(url, `v1/${name}`, breaking);
    await put(url, `v1/${name}`, { type: "x" });
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain('http_requests_total{method="PUT",endpoint="/schemas/:track/:name",status="409"} 1');
    for (const outcome of ["created", "incompatible", "invalid"]) {
      expect(text).toContain(`registry_publish_total{outcome="${outcome}"} 1`);
    }
    expect(text).not.toContain("store_up");
  });

  it("is degraded while its database is away, tells no address, and goes on when it is back", async () => {
    const proxy = await startDatabaseProxy(database.url);
    const url = await start({ databaseUrl: proxy.url });
    const health = async () => (await (await fetch(`${url}/health`)).json()) as object;
    expect(await health()).toMatchObject({ service: "schema-registry", state: "healthy", version: expect.any(String) });
    proxy.cut();
    const answer = await fetch(`${url}/schemas/v1/a`);
    expect(answer.status).toBe(503);
    expect(await answer.text()).not.toMatch(/127\.0\.0\.1|ECONN/);
    await expect.poll(health, { timeout: 10_000 }).toMatchObject({
      state: "degraded",
      components: [{ name: "database", details: { code: expect.any(String) } }],
    });
    proxy.heal();
    await expect.poll(health, { timeout: 10_000 }).toMatchObject({ state: "healthy" });
    expect((await fetch(`${url}/schemas/v1/a`)).status).toBe(404);
    await proxy.close();
  });
});

describe("HttpRegistry", () => {
  it("fetches, asks for what it has by its ETag, and publishes", async () => {
    const url = await start();
    const registry = new HttpRegistry({ url, token: TOKEN });
    const name = newName();
    await registry.check();
    expect(await registry.fetch("v1", name)).toBeUndefined();
    expect(await registry.publish({ track: "v1", name, content: first }, "full")).toEqual({
      version: "1",
      created: true,
    });
    expect(await registry.publish({ track: "v1", name, content: first }, "full")).toEqual({
      version: "1",
      created: false,
    });
    for (let round = 0; round < 3; round++) {
      expect(await registry.fetch("v1", name)).toEqual({ track: "v1", name, version: "1", content: first });
    }
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain('http_requests_total{method="GET",endpoint="/schemas/:track/:name",status="304"} 2');
    expect(await registry.names("v1")).toContain(name);
    await expect(registry.publish({ track: "v1", name, content: breaking }, "full")).rejects.toMatchObject({
      code: "schema_incompatible",
      details: { reasons: ["level no longer allows string.", "level now also allows integer."] },
    });
    await expect(registry.publish({ track: "v1", name, content: { type: 1 } }, "full")).rejects.toMatchObject({
      code: "schema_invalid",
    });
    await expect(
      new HttpRegistry({ url }).publish({ track: "v1", name, content: wider }, "full"),
    ).rejects.toMatchObject({
      code: "unauthorized",
    });
  });

  it("tells one that is away from what is none", async () => {
    const away = new HttpRegistry({ url: "http://127.0.0.1:9" });
    await expect(away.check()).rejects.toMatchObject({ code: "registry_unavailable", retryable: true });
    const url = await start();
    const elsewhere = new HttpRegistry({ url: `${url}/schemas` });
    await expect(elsewhere.check()).rejects.toMatchObject({ code: "registry_refused" });
  });
});
