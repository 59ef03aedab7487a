/** Sends an error as problem details. */
import type { FastifyReply } from "fastify";
import type { StoreError } from "../errors/store-error.ts";
import { PROBLEM_CONTENT_TYPE, problemOf } from "./problem.ts";

/** For what is too much just now and says nothing better. */
const RETRY_AFTER_SECONDS = 5;

/** @param members - Members of the problem beside the usual ones, which a route documents. */
export function sendProblem(
  reply: FastifyReply,
  error: StoreError,
  members: Readonly<Record<string, unknown>> = {},
): FastifyReply {
  if (error.status === 429 && !reply.hasHeader("retry-after")) reply.header("retry-after", String(RETRY_AFTER_SECONDS));
  return reply
    .code(error.status)
    .type(PROBLEM_CONTENT_TYPE)
    .send(JSON.stringify({ ...problemOf(error), ...members }));
}
