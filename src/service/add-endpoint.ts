/**
 * Adds a route as its endpoint describes it: who may call it is decided first, then its parts are parsed, then it gets a
 * time to answer in. Schemas are loaded at the first request, so that an idle service does without them.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from "fastify";
import { type AnswerOf, type Endpoint, type ParsedInput, type SchemaName, successOf } from "../control/endpoint.ts";
import { refuseUnknownQuery } from "../http/refuse-unknown-query.ts";
import { parsePart } from "../http/zod-validation.ts";
import { withDeadline } from "../resilience/with-deadline.ts";
import { asAway } from "./database-away.ts";

/** Longer than a wait for a connection or a statement on the small tables of the administration takes (5 s each). */
const ANSWER_DEADLINE_MS = 12_000;

/** One request to an endpoint. */
export interface Call<E extends Endpoint = Endpoint> extends ParsedInput<E> {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** Ends what takes too long. */
  readonly signal: AbortSignal;
}

/** Adds the route of an endpoint for administrators. */
export function addAdminEndpoint<const E extends Endpoint>(
  app: FastifyInstance,
  guard: onRequestHookHandler,
  endpoint: E,
  handle: (call: Call<E>) => Promise<AnswerOf<E>>,
): void {
  app.route({
    method: endpoint.method,
    url: routePattern(endpoint.path),
    onRequest: guard,
    handler: async (request, reply) => {
      const input = await parseInput<E>(endpoint, request);
      reply.code(successOf(endpoint));
      try {
        return await withDeadline(ANSWER_DEADLINE_MS, (signal) => handle({ ...input, request, reply, signal }));
      } catch (cause) {
        throw asAway(cause);
      }
    },
  });
}

/** A path as the framework writes it: `/jobs/{id}` is `/jobs/:id`. */
function routePattern(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}

async function parseInput<E extends Endpoint>(endpoint: E, request: FastifyRequest): Promise<ParsedInput<E>> {
  const { SCHEMAS } = await import("../control/schemas.ts");
  const parse = (part: string, name: SchemaName | undefined, data: unknown): unknown =>
    name === undefined ? undefined : parsePart(part, SCHEMAS[name], data);
  if (endpoint.query === undefined) refuseUnknownQuery(request.query);
  // A body that is `null` is one, and a wrong one.
  const sent = request.body === undefined && endpoint.isBodyOptional ? {} : request.body;
  return {
    params: parse("params", endpoint.params, request.params),
    query: parse("querystring", endpoint.query, request.query),
    body: endpoint.body === "backfill" || endpoint.body === "rows" ? sent : parse("body", endpoint.body, sent),
  } as ParsedInput<E>;
}
