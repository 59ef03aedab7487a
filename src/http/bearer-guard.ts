/**
 * Lets only requests with the right bearer token pass, before anything of their body is read. Only the token's hash is
 * kept, hashes are compared in constant time, and failed attempts are limited and logged without what they brought.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from "fastify";
import { StoreError } from "../errors/store-error.ts";
import type { Logger } from "../telemetry/logger.ts";
import { FailedAttempts } from "./failed-attempts.ts";

/** Of all our tokens. */
export const REALM = "market-data-store";

interface GuardOptions {
  /** The token; without one nobody passes. */
  readonly token: string | undefined;
  /** What is thrown then. */
  readonly disabled: () => StoreError;
  readonly log: Pick<Logger, "warn">;
  readonly attempts?: FailedAttempts;
}

/** The token of `Authorization: Bearer …`; undefined where there is none. */
export function bearerToken(request: Pick<FastifyRequest, "headers">): string | undefined {
  return /^bearer +([!-~]+) *$/i.exec(request.headers.authorization ?? "")?.[1];
}

/** Makes the hook. Its errors: what `disabled` gives, `unauthorized` and `too_many_attempts`. */
export function bearerGuard({
  token,
  disabled,
  log,
  attempts = new FailedAttempts(),
}: GuardOptions): onRequestHookHandler {
  const expected = token === undefined ? undefined : sha256(token);
  return (request, reply, done) => {
    if (expected === undefined) return done(disabled());
    const shutOut = attempts.shutOutSeconds(request.ip);
    if (shutOut !== undefined) return done(tooManyAttempts(reply, shutOut));
    const given = bearerToken(request);
    const hash = sha256(given ?? "");
    if (timingSafeEqual(hash, expected)) return done();
    const verdict = attempts.note(request.ip, hash.toString("base64"));
    if (verdict.kind === "limited") return done(tooManyAttempts(reply, verdict.retryAfterSeconds));
    const { method, ip } = request;
    log.warn(
      { method, endpoint: request.routeOptions.url, ip },
      given === undefined ? "A request without a token was refused." : "A request with a wrong token was refused.",
    );
    const invalid = given === undefined ? "" : ', error="invalid_token"';
    reply.header("www-authenticate", `Bearer realm="${REALM}"${invalid}`);
    return done(
      new StoreError("unauthorized", "This route needs the right bearer's token in the header Authorization."),
    );
  };
}

/** For an address from which too many attempts failed. */
export function tooManyAttempts(reply: FastifyReply, seconds: number): StoreError {
  reply.header("retry-after", String(seconds));
  return new StoreError("too_many_attempts", `Too many attempts failed from this address; try again in ${seconds} s.`);
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
