import { connect } from "node:net";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { StoreError } from "../errors/store-error.ts";
import { createLogger, type LogLevel } from "../telemetry/logger.ts";
import { StoreMetrics } from "../telemetry/metrics.ts";
import { createHttpServer } from "./create-http-server.ts";
import { BODY_LIMIT_BYTES } from "./limits.ts";

const order = z.object({ dataset: z.string(), window: z.object({ days: z.number().int().min(1) }) });

function addRoutes(app: FastifyInstance): void {
  app.get("/things/:id", (request) => request.params);
  app.delete("/things/:id", () => ({}));
  app.post("/orders", { schema: { body: order } }, (request) => ({ body: request.body }));
  app.get(
    "/list",
    { schema: { querystring: z.object({ limit: z.coerce.number().max(10) }) } },
    (request) => request.query,
  );
  app.get("/fault", () => {
    throw new TypeError("cannot read hunter2");
  });
  app.get("/away", () => {
    throw new StoreError("database_unavailable", "The database does not answer.");
  });
}

let app: FastifyInstance;
let metrics: StoreMetrics;
let lines: string[];

function serve(level: LogLevel): void {
  lines = [];
  metrics = new StoreMetrics();
  const log = createLogger({ level, stream: { write: (line) => void lines.push(line) } });
  app = createHttpServer({ log, metrics, routes: addRoutes });
}

beforeEach(() => serve("info"));
afterEach(async () => {
  await app.close();
});

const counted = async () =>
  (await metrics.render()).split("\n").filter((line) => line.startsWith("http_requests_total{"));

describe("createHttpServer", () => {
  it.each([
    ["GET", "/nothing", 404, "not_found"],
    ["GET", "/things/%zz", 400, "request_invalid"],
    ["GET", `/things/${"a".repeat(300)}`, 400, "request_invalid"],
    ["GET", "/fault", 500, "internal"],
    ["GET", "/away", 503, "database_unavailable"],
    ["GET", "/list?limit=11", 400, "request_invalid"],
  ] as const)("answers %s %s with %i problem+json", async (method, url, status, code) => {
    const answer = await app.inject({ method, url });
    expect(answer.statusCode).toBe(status);
    expect(answer.headers["content-type"]).toMatch(/^application\/problem\+json/);
    expect(answer.json()).toMatchObject({ type: "about:blank", status, code });
    expect(answer.body).not.toMatch(/\.ts|\.js|hunter2|FST_/);
  });

  it.each(["POST", "PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE"])(
    "answers %s with 405 and Allow",
    async (method) => {
      const answer = await app.inject({ method: method as "POST", url: "/things/7" });
      expect(answer.statusCode).toBe(405);
      expect(answer.headers.allow).toBe("DELETE, GET, HEAD");
      expect(answer.json()).toMatchObject({ code: "method_not_allowed" });
    },
  );

  it("answers a wrong method before it reads the body", async () => {
    const payload = "x".repeat(BODY_LIMIT_BYTES + 1);
    const answer = await app.inject({
      method: "PUT",
      url: "/things/7",
      payload,
      headers: { "content-type": "text/x" },
    });
    expect(answer.statusCode).toBe(405);
  });

  it("counts a wrong method under the route's pattern, and takes no unknown path for a known one", async () => {
    await app.inject({ method: "POST", url: "/things/7?x=1" });
    for (const url of ["/things", "/things/7/8", "/listing", "/a/list"]) {
      expect((await app.inject({ method: "POST", url })).statusCode).toBe(404);
    }
    expect(await counted()).toEqual([
      'http_requests_total{method="POST",endpoint="/things/:id",status="405"} 1',
      'http_requests_total{method="POST",endpoint="unmatched",status="404"} 4',
    ]);
  });

  it("answers HEAD as GET without a body", async () => {
    const answer = await app.inject({ method: "HEAD", url: "/things/7" });
    expect([answer.statusCode, answer.body]).toEqual([200, ""]);
  });

  it.each([
    ["not JSON", "{", "application/json", 422, "body_invalid"],
    ["empty", "", "application/json", 422, "body_invalid"],
    ["plain text", "[]", "text/plain", 415, "media_type_unsupported"],
    ["of an unknown type", "<a/>", "application/xml", 415, "media_type_unsupported"],
    ["too large", JSON.stringify("x".repeat(BODY_LIMIT_BYTES)), "application/json", 413, "body_too_large"],
  ])("refuses a body that is %s", async (_, payload, type, status, code) => {
    const answer = await app.inject({ method: "POST", url: "/orders", payload, headers: { "content-type": type } });
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toMatchObject({ code });
  });

  it("refuses a bad body with the path of each wrong field", async () => {
    const answer = await app.inject({ method: "POST", url: "/orders", payload: { window: { days: 0 } } });
    expect(answer.statusCode).toBe(422);
    expect(answer.json().code).toBe("body_invalid");
    expect(answer.json().details.errors.map(({ path }: { path: string }) => path)).toEqual(["dataset", "window.days"]);
  });

  it("gives the handler the parsed body", async () => {
    const payload = { dataset: "bars", window: { days: 1, other: 1 } };
    const answer = await app.inject({ method: "POST", url: "/orders", payload });
    expect(answer.json()).toEqual({ body: { dataset: "bars", window: { days: 1 } } });
  });

  it("R31 counts requests under the route's pattern, and the unknown under one label", async () => {
    for (let id = 0; id < 50; id++) await app.inject({ url: `/things/${id}?a=${id}` });
    for (let id = 0; id < 50; id++) await app.inject({ url: `/nothing/${id}` });
    await app.inject({ url: "/things/%zz" });
    await app.inject({ method: "PUT", url: "/things/1" });
    expect((await counted()).sort()).toEqual([
      'http_requests_total{method="GET",endpoint="/things/:id",status="200"} 50',
      'http_requests_total{method="GET",endpoint="unmatched",status="400"} 1',
      'http_requests_total{method="GET",endpoint="unmatched",status="404"} 50',
      'http_requests_total{method="PUT",endpoint="/things/:id",status="405"} 1',
    ]);
  });

  it("logs a fault with its stack, and at info nothing else of a request", async () => {
    await app.inject({ url: "/things/1" });
    await app.inject({ url: "/away" });
    expect(lines).toEqual([]);
    await app.inject({ url: "/fault" });
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: "error", endpoint: "/fault", err: { type: "TypeError" } });
  });

  it("logs every request at debug", async () => {
    await app.close();
    serve("debug");
    await app.inject({ url: "/things/1?token=hunter2" });
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: "debug",
      method: "GET",
      endpoint: "/things/:id",
      status: 200,
    });
    expect(lines.join("")).not.toContain("hunter2");
  });

  it.each([
    ["FOO / HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request", "request_invalid"],
    [
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(20_000)}\r\n\r\n`,
      "431 Request Header Fields Too Large",
      "headers_too_large",
    ],
  ])("answers what cannot be read as HTTP (%#)", async (request, status, code) => {
    const url = new URL(await app.listen({ host: "127.0.0.1", port: 0 }));
    const answer = await new Promise<string>((resolve, reject) => {
      let text = "";
      const socket = connect(Number(url.port), url.hostname, () => void socket.write(request));
      socket.on("data", (chunk) => (text += chunk.toString()));
      socket.on("end", () => resolve(text)).on("error", reject);
    });
    const [head, body] = answer.split("\r\n\r\n");
    expect(head).toMatch(`HTTP/1.1 ${status}\r\nContent-Type: application/problem+json`);
    expect(JSON.parse(body!)).toMatchObject({ code });
  });
});
