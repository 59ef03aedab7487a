/** The OpenAPI document and its page: they name the routes that exist, no others, and need nothing from outside. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type Endpoint, errorsOf } from "../../src/control/endpoint.ts";
import { ENDPOINTS } from "../../src/control/endpoints.ts";
import { ERROR_CODES } from "../../src/errors/codes.ts";
import { createApp } from "../../src/service/app.ts";
import type { OpenApiDocument, Operation } from "../../src/service/open-api.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { StoreMetrics } from "../../src/telemetry/metrics.ts";
import { FakeJobQueue } from "../support/fake-job-queue.ts";
import { FakeServiceDatabase } from "../support/fake-service-database.ts";

const METHOD = z.enum(["get", "put", "post", "delete", "patch"]);
const endpoints: readonly Endpoint[] = Object.values(ENDPOINTS);

const app = createApp({
  log: createLogger({ level: "silent" }),
  metrics: new StoreMetrics(),
  health: { current: { status: { state: "healthy" }, ready: true, body: "{}" } as never },
  database: new FakeServiceDatabase(),
  jobs: new FakeJobQueue(),
});
let document: OpenApiDocument;

beforeAll(async () => {
  const answer = await app.inject({ method: "GET", url: "/openapi.json" });
  expect([answer.statusCode, answer.headers["content-type"]]).toEqual([200, "application/json; charset=utf-8"]);
  document = answer.json();
});

afterAll(async () => {
  await app.close();
});

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );

/** Every `$ref` anywhere below. */
function refsIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => (key === "$ref" ? [String(each)] : refsIn(each)));
}

/** Paths of the router, with parameters in braces, out of the tree that it prints. */
function pathsOf(tree: string): string[] {
  const parts: string[] = [];
  return tree.split("\n").flatMap((line) => {
    const match = /^((?:│ {3}| {4})*)[├└]── (\S+)(?: \((\S.*)\))?$/u.exec(line);
    if (match === null) return [];
    parts.length = match[1]!.length / 4;
    parts.push(match[2]!);
    return match[3] === undefined ? [] : [parts.join("").replaceAll(/:(\w+)/g, "{$1}")];
  });
}

describe("the table of endpoints", () => {
  it("is the routes that exist", async () => {
    const routes = await Promise.all(
      pathsOf(app.printRoutes({ commonPrefix: false })).map(async (path) => {
        const { headers } = await app.inject({ method: "OPTIONS", url: path.replaceAll(/\{\w+\}/g, "x") });
        const methods = String(headers["allow"]).split(", ");
        return methods.filter((method) => method !== "HEAD").map((method) => `${method} ${path}`);
      }),
    );
    expect(routes.flat().sort()).toEqual(endpoints.map(({ method, path }) => `${method} ${path}`).sort());
  });
});

describe("/openapi.json", () => {
  it("names every endpoint once, with its auth, body, answers and errors", () => {
    expect(operations().map(({ method, path }) => `${method} ${path}`)).toEqual(
      endpoints.map(({ method, path }) => `${method} ${path}`).sort((a, b) => order(a) - order(b)),
    );
    for (const endpoint of endpoints) {
      const operation = document.paths[endpoint.path]![endpoint.method.toLowerCase()]!;
      expect(operation.security).toEqual(endpoint.auth === "none" ? [] : [{ [endpoint.auth]: [] }]);
      expect(operation.requestBody === undefined).toBe(endpoint.body === undefined);
      for (const status of Object.keys(endpoint.answers)) expect(operation.responses).toHaveProperty(status);
      for (const code of errorsOf(endpoint)) expect(answerTo(operation, code)).toContain(`\`${code}\``);
      const names = [...endpoint.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      expect((operation.parameters ?? []).filter((one) => one.in === "path").map(({ name }) => name)).toEqual(names);
      if (endpoint.makesJob) {
        expect(operation.responses["202"]!.headers).toHaveProperty("Location");
        expect((operation.parameters ?? []).map(({ name }) => name)).toContain("Idempotency-Key");
      }
    }
  });

  const order = (route: string): number => operations().findIndex(({ method, path }) => `${method} ${path}` === route);

  /** A status that is an answer too is described as that. */
  const answerTo = ({ responses }: Operation, code: keyof typeof ERROR_CODES): string => {
    const answer = responses[ERROR_CODES[code].status]!;
    return Object.keys(answer.content ?? {}).includes("application/problem+json") ? answer.description : `\`${code}\``;
  };

  it("has the form of OpenAPI 3.1, and its references lead somewhere", () => {
    const schema = z.looseObject({});
    const content = z.record(z.string().regex(/^[\w+]+\/[\w+-]+$/), z.strictObject({ schema }));
    const header = z.strictObject({ description: z.string(), schema });
    const operation = z.strictObject({
      operationId: z.string().regex(/^\w+$/),
      tags: z.array(z.enum(document.tags.map(({ name }) => name))).length(1),
      summary: z.string().min(1),
      description: z.string().optional(),
      security: z.array(z.partialRecord(z.enum(["admin", "ingest"]), z.array(z.string()))),
      parameters: z
        .array(
          z.strictObject({
            name: z.string(),
            in: z.enum(["path", "query", "header"]),
            required: z.boolean(),
            description: z.string().optional(),
            schema,
          }),
        )
        .optional(),
      requestBody: z.strictObject({ required: z.boolean(), content }).optional(),
      responses: z.record(
        z.string().regex(/^[1-5]\d\d$/),
        z.strictObject({
          description: z.string().min(1),
          headers: z.record(z.string(), header).optional(),
          content: content.optional(),
        }),
      ),
    });
    const scheme = z.strictObject({ type: z.literal("http"), scheme: z.literal("bearer"), description: z.string() });
    const shape = z.strictObject({
      openapi: z.literal("3.1.0"),
      info: z.strictObject({ title: z.string(), version: z.string(), description: z.string() }),
      tags: z.array(z.strictObject({ name: z.string() })),
      paths: z.record(z.string().startsWith("/"), z.partialRecord(METHOD, operation)),
      components: z.strictObject({
        schemas: z.record(z.string().regex(/^[\w.-]+$/), schema),
        securitySchemes: z.strictObject({ admin: scheme, ingest: scheme }),
      }),
    });
    expect(shape.safeParse(document).error).toBeUndefined();
    const ids = operations().map(({ operation: one }) => one.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const known = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
    expect([...new Set(refsIn(document))].filter((ref) => !known.includes(ref))).toEqual([]);
    expect(JSON.stringify(document)).not.toContain("$schema");
  });

  it("describes what is really taken and answered", () => {
    const { schemas } = document.components;
    expect(schemas["RetentionInput"]).toMatchObject({
      additionalProperties: false,
      properties: { dry_run: { default: false } },
    });
    expect(schemas["JobList"]).toMatchObject({ properties: { jobs: { items: { $ref: "#/components/schemas/Job" } } } });
    // Answers may gain fields.
    expect(schemas["Job"]).not.toHaveProperty("additionalProperties");
    const body = document.paths["/backfill/{job}"]!["post"]!.requestBody!.content["application/json"]!.schema;
    expect((body as { anyOf: { title: string }[] }).anyOf.map(({ title }) => title)).toEqual([
      "ingest-files",
      "rebuild-aggregates",
      "verify-coverage",
      "own-backfill",
    ]);
  });
});

describe("/docs", () => {
  it("shows every route and schema, without scripts and without anything from elsewhere", async () => {
    const answer = await app.inject({ method: "GET", url: "/docs" });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers["content-type"]).toBe("text/html; charset=utf-8");
    const policy = String(answer.headers["content-security-policy"]);
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/]+=*'; /);
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    const html = answer.body;
    for (const { path, summary } of endpoints) {
      expect(html).toContain(`<code>${path}</code>`);
      expect(html).toContain(summary);
    }
    for (const name of Object.keys(document.components.schemas)) expect(html).toContain(`id="schema-${name}"`);
    expect(html).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|style="| on\w+="|src=/i);
    expect(html).not.toMatch(/(?:href|src)="(?:https?:)?\/\//);
    const ids = new Set([...html.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]));
    const targets = [...html.matchAll(/href="#([^"]+)"/g)].map((match) => match[1]);
    expect(targets.filter((target) => !ids.has(target))).toEqual([]);
  });
});
