/**
 * Calls an endpoint over HTTP: with a deadline for each attempt, tried again where repeating does no harm, its answer
 * checked by the endpoint's schema, and its problem thrown as an error with the same code. Follows no redirects, so that
 * the token goes nowhere else.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ERROR_CODES, type ErrorCode } from "../errors/codes.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import type { AnswerOf, Endpoint } from "./endpoint.ts";

/** A service that restarts is back within seconds; who waits for longer decides that himself. */
const MAX_ATTEMPTS = 3;
const FIRST_WAIT_MS = 200;

/** Where the service is and how it is asked. */
export interface Transport {
  /** Ends in a slash. */
  readonly baseUrl: URL;
  readonly token: string | undefined;
  readonly fetch: typeof fetch;
  /** Of each attempt. */
  readonly timeoutMs: number;
}

/** One call of an endpoint. */
export interface EndpointCall {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What the endpoint answers.
 *
 * @throws StoreError with the code that the service answers with; `service_unreachable`, `deadline_exceeded`, `aborted`.
 */
export async function callEndpoint<const E extends Endpoint>(
  transport: Transport,
  endpoint: E,
  call: EndpointCall = {},
): Promise<{ readonly status: number; readonly answer: AnswerOf<E> }> {
  const mayRepeat = endpoint.method === "GET" || endpoint.method === "DELETE" || call.idempotencyKey !== undefined;
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptCall(transport, endpoint, call);
    } catch (error) {
      const isLast = !mayRepeat || attempt === MAX_ATTEMPTS;
      // Who asks too much is to ask less.
      if (isLast || !(error instanceof StoreError && error.retryable && error.status !== 429)) throw error;
      await pause(FIRST_WAIT_MS * 4 ** (attempt - 1) * (0.5 + Math.random() / 2), call.signal);
    }
  }
}

/** Waits. @throws StoreError `aborted`. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal && { signal }).catch(() => {
    throw aborted(signal);
  });
}

async function attemptCall<E extends Endpoint>(
  transport: Transport,
  endpoint: E,
  call: EndpointCall,
): Promise<{ status: number; answer: AnswerOf<E> }> {
  const timeout = AbortSignal.timeout(transport.timeoutMs);
  const signal = call.signal === undefined ? timeout : AbortSignal.any([call.signal, timeout]);
  try {
    const { fetch: send } = transport;
    const response = await send(urlOf(transport, endpoint, call), requestOf(transport, endpoint, call, signal));
    const body = await response.text();
    if (endpoint.answers[response.status] === undefined) throw problemError(transport, response, body);
    return { status: response.status, answer: (await parseAnswer(endpoint, response.status, body)) as AnswerOf<E> };
  } catch (error) {
    if (error instanceof StoreError) throw error;
    if (call.signal?.aborted) throw aborted(call.signal);
    if (timeout.aborted) {
      throw new StoreError("deadline_exceeded", `The store did not answer within ${transport.timeoutMs} ms.`, {
        cause: error,
      });
    }
    throw unreachable(transport, reasonOf(error), error);
  }
}

function urlOf({ baseUrl }: Transport, { path }: Endpoint, { params = {}, query = {} }: EndpointCall): URL {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ""));
  const url = new URL(`.${filled}`, baseUrl);
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value));
  return url;
}

function requestOf(
  { token }: Transport,
  { method, auth }: Endpoint,
  call: EndpointCall,
  signal: AbortSignal,
): RequestInit {
  const { body, idempotencyKey } = call;
  if (auth === "admin" && token === undefined) {
    throw new StoreError("usage", "This call needs the admin token; give `token` to createControlClient.");
  }
  return {
    method,
    signal,
    redirect: "error",
    headers: {
      accept: "application/json",
      ...(auth === "admin" && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  };
}

async function parseAnswer(endpoint: Endpoint, status: number, body: string): Promise<unknown> {
  const name = endpoint.answers[status]?.schema;
  if (name === undefined) return undefined;
  const { SCHEMAS } = await import("./schemas.ts");
  return SCHEMAS[name].parse(JSON.parse(body));
}

/** The service's own error again; anything else that is answered came from somewhere in between. */
function problemError(transport: Transport, response: Response, body: string): StoreError {
  const { status, headers } = response;
  const problem = headers.get("content-type")?.startsWith("application/problem+json") ? asObject(body) : undefined;
  const { code, detail, details } = problem ?? {};
  if (typeof code !== "string" || typeof detail !== "string") {
    return unreachable(transport, `what answers there is something else (status ${status})`, undefined);
  }
  const retryAfter = Number(headers.get("retry-after") ?? Number.NaN);
  const facts = {
    ...(typeof details === "object" ? details : {}),
    ...(Number.isFinite(retryAfter) && { retry_after_seconds: retryAfter }),
  };
  if (Object.hasOwn(ERROR_CODES, code)) return new StoreError(code as ErrorCode, detail, { details: facts });
  // A later version's.
  return new StoreError(status < 500 ? "request_invalid" : "internal", detail, { details: { ...facts, code, status } });
}

function asObject(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function unreachable({ baseUrl }: Transport, reason: string, cause: unknown): StoreError {
  return new StoreError("service_unreachable", `No store answers at ${baseUrl.origin}: ${reason}.`, { cause });
}

function aborted(signal: AbortSignal | undefined): StoreError {
  return new StoreError("aborted", "The call was stopped by its caller.", { cause: signal?.reason });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "ZodError" || error instanceof SyntaxError) return "what answers there is something else";
  const cause = error.cause instanceof AggregateError ? error.cause.errors[0] : error.cause;
  return messageOf(cause ?? error);
}
