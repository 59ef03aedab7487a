/**
 * What every HTTP server of ours has in common: problem+json for every error, 404 and 405, limits, metrics and a log
 * of requests. It knows no routes: they are given. It listens to nothing until it is told to.
 */
import type { Duplex } from "node:stream";
import { type FastifyInstance, fastify } from "fastify";
import { StoreError } from "../errors/store-error.ts";
import type { Logger } from "../telemetry/logger.ts";
import { METHODS } from "./http-names.ts";
import * as limits from "./limits.ts";
import { asStoreError, PROBLEM_CONTENT_TYPE, problemOf } from "./problem.ts";
import { type RequestCounter, recordRequest, recordRequests } from "./request-record.ts";
import { sendProblem } from "./send-problem.ts";
import { tellUnfinishedBody } from "./unfinished-body.ts";
import { answerWrongMethods } from "./wrong-methods.ts";
import { ZOD_SCHEMAS } from "./zod-validation.ts";

interface HttpServerOptions {
  readonly log: Logger;
  readonly metrics: RequestCounter;
  /** Adds the routes. They may declare zod schemas, and throw StoreErrors. */
  readonly routes: (app: FastifyInstance) => void;
}

/** Makes a server that does not listen yet. */
export function createHttpServer(options: HttpServerOptions): FastifyInstance {
  const { log, metrics } = options;
  const app = fastify({
    logger: false,
    bodyLimit: limits.BODY_LIMIT_BYTES,
    keepAliveTimeout: limits.KEEP_ALIVE_MS,
    requestTimeout: limits.REQUEST_TIMEOUT_MS,
    http: { headersTimeout: limits.HEADERS_TIMEOUT_MS, connectionsCheckingInterval: limits.TIMEOUT_CHECK_MS },
    routerOptions: { maxParamLength: limits.PARAM_LIMIT_CHARS },
    schemaController: ZOD_SCHEMAS,
    // While stopping, a request on an open connection is answered as ever; new connections are not accepted.
    return503OnClosing: false,
    clientErrorHandler: answerUnreadable,
    frameworkErrors: (error, request, reply) => {
      sendProblem(reply, asStoreError(error));
      recordRequest(request, reply, metrics, log);
    },
  });
  // What the framework reads besides JSON, and no route takes.
  app.removeContentTypeParser("text/plain");
  app.server.maxConnections = limits.MAX_CONNECTIONS;
  for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
  recordRequests(app, metrics, log);
  app.setErrorHandler((thrown, request, reply) => {
    const error = asStoreError(thrown);
    if (error.status === 500) {
      log.error({ err: thrown, method: request.method, endpoint: request.routeOptions.url }, "A request failed.");
    }
    return sendProblem(reply, error);
  });
  app.setNotFoundHandler((_request, reply) =>
    sendProblem(reply, new StoreError("not_found", "There is no such path.")),
  );
  answerWrongMethods(app);
  options.routes(app);
  return app;
}

/** Answers what node's parser could not read; there is no request then, only a connection. */
function answerUnreadable(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  if (tellUnfinishedBody(socket, error)) return;
  const problem = problemOf(asStoreError({ code: error.code, statusCode: 400 }));
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    `Content-Type: ${PROBLEM_CONTENT_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
