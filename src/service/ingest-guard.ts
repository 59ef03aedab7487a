/**
 * Whose rows a request brings, by its ingest token. One that has the form of a token and is not valid gets one answer,
 * whether it never was, was revoked, or is that of a tenant who is being deleted. Failed attempts are limited.
 */
import { createHash } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { isIngestToken } from "../database/ingest-tokens.ts";
import { StoreError } from "../errors/store-error.ts";
import { bearerToken, REALM, tooManyAttempts } from "../http/bearer-guard.ts";
import { FailedAttempts } from "../http/failed-attempts.ts";
import type { Logger } from "../telemetry/logger.ts";
import { asAway } from "./database-away.ts";
import type { IngestTokenCache } from "./ingest-token-cache.ts";

interface IngestGuardOptions {
  readonly tokens: Pick<IngestTokenCache, "tenantOf">;
  readonly log: Pick<Logger, "warn">;
}

/** Gives the tenant's UUID. @throws StoreError `unauthorized`, `token_refused`, `too_many_attempts`, `database_…`. */
export type IngestGuard = (request: FastifyRequest, reply: FastifyReply) => Promise<string>;

export function ingestGuard({ tokens, log }: IngestGuardOptions): IngestGuard {
  const attempts = new FailedAttempts();
  return async (request, reply) => {
    const shutOut = attempts.shutOutSeconds(request.ip);
    if (shutOut !== undefined) throw tooManyAttempts(reply, shutOut);
    const given = bearerToken(request) ?? "";
    const tenantId = await tokens.tenantOf(given).catch((cause: unknown) => {
      throw asAway(cause);
    });
    if (tenantId !== undefined) return tenantId;
    const verdict = attempts.note(request.ip, createHash("sha256").update(given).digest("base64"));
    if (verdict.kind === "limited") throw tooManyAttempts(reply, verdict.retryAfterSeconds);
    log.warn({ endpoint: request.routeOptions.url, ip: request.ip }, "Rows without a valid ingest token were refused.");
    if (isIngestToken(given)) throw new StoreError("token_refused", "This ingest token is not valid.");
    reply.header("www-authenticate", `Bearer realm="${REALM}"`);
    throw new StoreError("unauthorized", "This route needs an ingest token in the header Authorization.");
  };
}
