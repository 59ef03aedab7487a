import { once } from "node:events";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { StoreError } from "../errors/store-error.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createHttpServer } from "./create-http-server.ts";
import { sendProblem } from "./send-problem.ts";
import { lingerOver, readBytes, refuseLargeBody, tellUnfinishedBody } from "./unfinished-body.ts";

const LIMIT = 1_000_000;
const ending = new AbortController();
let bytes = 0;
const sockets = new Set<Socket>();

const app = createHttpServer({
  log: createLogger({ level: "silent" }),
  metrics: { countRequest: () => undefined },
  routes: (server) => {
    server.removeAllContentTypeParsers();
    server.addContentTypeParser("*", (_request, _payload, done) => done(null));
    server.setErrorHandler((error: StoreError, request, reply) => {
      lingerOver(request.raw);
      return sendProblem(reply, error, { bytes });
    });
    server.post("/read", async (request) => {
      bytes = 0;
      refuseLargeBody(request.raw, LIMIT);
      sockets.add(request.raw.socket);
      for await (const chunk of readBytes(request.raw, LIMIT, ending.signal)) bytes += chunk.length;
      return { bytes };
    });
    server.post("/early", () => {
      throw new StoreError("unauthorized", "No.");
    });
  },
});

class Client {
  readonly socket: Socket;
  text = "";

  constructor() {
    this.socket = connect((app.server.address() as AddressInfo).port, "127.0.0.1");
    this.socket.on("data", (chunk: Buffer) => {
      this.text += chunk.toString();
    });
    this.socket.on("error", () => undefined);
  }

  head(path: string, ...headers: string[]): void {
    this.socket.write([`POST ${path} HTTP/1.1`, "Host: x", ...headers, "", ""].join("\r\n"));
  }

  async answer(status: number): Promise<unknown> {
    await vi.waitFor(() => expect(this.text).toMatch(/\r\n\r\n.*\}$/s), { timeout: 10_000 });
    expect(this.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    return JSON.parse(this.text.slice(this.text.indexOf("\r\n\r\n")));
  }
}

async function client(): Promise<Client> {
  if (!app.server.listening) await app.listen({ host: "127.0.0.1", port: 0 });
  const made = new Client();
  await once(made.socket, "connect");
  return made;
}

afterEach(() => {
  sockets.clear();
});

describe("a body that is read as it arrives", () => {
  it("is read to its end, and the connection goes on", async () => {
    const one = await client();
    for (let round = 0; round < 3; round++) {
      one.text = "";
      one.head("/read", "Content-Length: 200000");
      one.socket.write("x".repeat(100_000));
      one.socket.write("x".repeat(100_000));
      expect(await one.answer(200)).toEqual({ bytes: 200_000 });
    }
    one.socket.destroy();
  });

  it("gets an answer when its client stops in the middle", async () => {
    const one = await client();
    one.head("/read", "Content-Length: 1000");
    one.socket.end("x".repeat(600));
    expect(await one.answer(400)).toMatchObject({ code: "body_incomplete", bytes: 600 });
    await vi.waitFor(() => expect(one.socket.closed).toBe(true), { timeout: 10_000 });
  });

  it("gets an answer when its chunks are damaged", async () => {
    const one = await client();
    one.head("/read", "Transfer-Encoding: chunked");
    one.socket.write("5\r\nabcde\r\nnonsense\r\n");
    expect(await one.answer(400)).toMatchObject({ code: "body_incomplete", bytes: 5 });
  });

  it("gets an answer when it takes too long", async () => {
    const one = await client();
    one.head("/read", "Content-Length: 1000");
    one.socket.write("x".repeat(10));
    await vi.waitFor(() => expect(bytes).toBe(10));
    const timeout = Object.assign(new TypeError("Request timeout"), { code: "ERR_HTTP_REQUEST_TIMEOUT" });
    expect(tellUnfinishedBody([...sockets][0]!, timeout)).toBe(true);
    expect(await one.answer(408)).toMatchObject({ code: "request_timeout", bytes: 10 });
    one.socket.destroy();
  });

  it("ends without an answer when the connection breaks, and is not read further", async () => {
    const one = await client();
    one.head("/read", "Content-Length: 1000");
    one.socket.write("x".repeat(10));
    await vi.waitFor(() => expect(bytes).toBe(10));
    const [socket] = sockets;
    one.socket.resetAndDestroy();
    await vi.waitFor(() => expect(tellUnfinishedBody(socket!, new TypeError("late"))).toBe(false));
  });

  it("is refused by its length before it is read, and while it is read where it has none", async () => {
    const one = await client();
    one.head("/read", `Content-Length: ${LIMIT + 1}`);
    expect(await one.answer(413)).toMatchObject({ code: "body_too_large", bytes: 0 });
    one.socket.destroy();
    const two = await client();
    two.head("/read", "Transfer-Encoding: chunked");
    for (let sent = 0; sent <= LIMIT; sent += 50_000) two.socket.write(`c350\r\n${"x".repeat(50_000)}\r\n`);
    const answer = (await two.answer(413)) as { bytes: number };
    expect(answer.bytes).toBeGreaterThan(LIMIT / 2);
    expect(answer.bytes).toBeLessThanOrEqual(LIMIT);
    two.socket.destroy();
  });

  it("lets a client that still sends read an early answer, and then goes on", async () => {
    const one = await client();
    one.head("/early", "Content-Length: 500000");
    expect(await one.answer(401)).toMatchObject({ code: "unauthorized" });
    one.socket.write("x".repeat(500_000));
    one.text = "";
    one.head("/read", "Content-Length: 3");
    one.socket.write("abc");
    expect(await one.answer(200)).toEqual({ bytes: 3 });
    one.socket.destroy();
  });

  it("ends by its signal, with an answer, and its connection is closed soon", async () => {
    const one = await client();
    one.head("/read", "Content-Length: 1000");
    one.socket.write("x".repeat(10));
    await vi.waitFor(() => expect(bytes).toBe(10));
    ending.abort(new StoreError("shutting_down", "It stops."));
    expect(await one.answer(503)).toMatchObject({ code: "shutting_down", bytes: 10 });
    await vi.waitFor(() => expect(one.socket.closed).toBe(true), { timeout: 10_000 });
    await app.close();
  });
});
