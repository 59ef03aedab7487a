/**
 * What is kept of each answered request: its metrics, with the route's pattern as label and one label for everything
 * that no route answers, and at level debug a line in the log.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "../telemetry/logger.ts";
import { wrongMethodPattern } from "./wrong-methods.ts";

/** The label of requests that no route answers: the raw path would be unbounded. */
const UNMATCHED = "unmatched";

/** Counts an answered request. */
export interface RequestCounter {
  countRequest(method: string, endpoint: string, status: number, seconds: number): void;
}

/** Records every request of the server. */
export function recordRequests(app: FastifyInstance, counter: RequestCounter, log: Logger): void {
  app.addHook("onResponse", (request, reply, done) => {
    recordRequest(request, reply, counter, log);
    done();
  });
}

/** Records one request; for those that the framework answers outside of its hooks. */
export function recordRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  counter: RequestCounter,
  log: Logger,
): void {
  const endpoint = request.routeOptions.url ?? wrongMethodPattern(request) ?? UNMATCHED;
  counter.countRequest(request.method, endpoint, reply.statusCode, reply.elapsedTime / 1_000);
  if (!log.isLevelEnabled("debug")) return;
  const { method, ip } = request;
  log.debug({ method, endpoint, status: reply.statusCode, elapsedMs: reply.elapsedTime, ip }, "Request answered.");
}
