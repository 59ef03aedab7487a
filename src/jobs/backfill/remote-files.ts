/**
 * Fetches files over http and https from hosts that the operator named. Redirects stay on the same host and are followed
 * by hand, each checked. Every wait has a deadline: for the answer, and between two pieces of it. A fault of the network
 * or of the server may be tried again, an answer that says no may not.
 */
import { Readable } from "node:stream";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { type BackfillAccess, isAllowedHost, refused, urlName } from "./backfill-access.ts";
import type { OpenedSource } from "./local-files.ts";

const MAX_REDIRECTS = 5;
/** From the call to the head of the answer: slow archives pack a file before they send it. */
const ANSWER_TIMEOUT_MS = 60_000;
/** Between two pieces of a file: longer silences are broken connections. */
const IDLE_TIMEOUT_MS = 60_000;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Answers that may be others in a moment. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 425, 429]);

export interface FetchOptions {
  /** Sent as a bearer token. */
  readonly token?: string | undefined;
  readonly signal: AbortSignal;
  /** Shorter in tests. */
  readonly answerTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
}

/**
 * Begins to fetch a file.
 *
 * @param url - Allowed already, by `allowedSource`.
 * @throws StoreError `backfill_refused` for a redirect that leads elsewhere, `file_unreadable` for an answer that says
 *   no, `source_unavailable` for what may be tried again; the stream fails with the last one too.
 */
export async function openUrl(
  url: URL,
  access: Pick<BackfillAccess, "hosts">,
  options: FetchOptions,
): Promise<OpenedSource> {
  const silence = new AbortController();
  const signal = AbortSignal.any([options.signal, silence.signal]);
  const timer = setTimeout(() => silence.abort(), options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS);
  try {
    const response = await followed(url, access, options.token, signal);
    const idleTimeoutMs = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
    const stream = Readable.from(pieces(response, url, silence, idleTimeoutMs, options.signal), { objectMode: false });
    // A stream that is closed before anybody reads from it does not run its generator's end.
    stream.once("close", () => silence.abort());
    return { name: urlName(url), version: versionOf(response), stream };
  } catch (error) {
    throw asUnavailable(error, url, options.signal);
  } finally {
    clearTimeout(timer);
  }
}

async function followed(
  url: URL,
  access: Pick<BackfillAccess, "hosts">,
  token: string | undefined,
  signal: AbortSignal,
): Promise<Response> {
  let at = url;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await fetch(at, { redirect: "manual", signal, headers: headersOf(token) });
    if (!REDIRECTS.has(response.status)) {
      if (response.status === 200) return response;
      await response.body?.cancel();
      throw unwelcome(response.status, url);
    }
    await response.body?.cancel();
    at = redirected(at, response, url, access);
  }
  throw new StoreError("file_unreadable", `${urlName(url)} redirects more than ${MAX_REDIRECTS} times.`);
}

function headersOf(token: string | undefined): Record<string, string> {
  const headers = { accept: "*/*", "accept-encoding": "identity", "user-agent": "market-data-store" };
  return token === undefined ? headers : { ...headers, authorization: `Bearer ${token}` };
}

function redirected(at: URL, response: Response, url: URL, access: Pick<BackfillAccess, "hosts">): URL {
  const location = response.headers.get("location") ?? "";
  const shown = urlName(url);
  if (!URL.canParse(location, at.href)) {
    throw new StoreError("file_unreadable", `${shown} redirects to what is no URL.`);
  }
  const next = new URL(location, at.href);
  const isWeb = next.protocol === "https:" || (next.protocol === "http:" && at.protocol === "http:");
  if (!isWeb || next.hostname !== url.hostname || next.username !== "" || !isAllowedHost(next, access.hosts)) {
    throw refused(
      `${shown} redirects to ${urlName(next)}, which is not the same host; name that URL itself if it is meant.`,
    );
  }
  return next;
}

function unwelcome(status: number, url: URL): StoreError {
  const shown = urlName(url);
  return status >= 500 || TRANSIENT.has(status)
    ? new StoreError("source_unavailable", `${shown} answered with status ${status}; it may be tried again.`)
    : new StoreError("file_unreadable", `${shown} answered with status ${status}.`);
}

async function* pieces(
  response: Response,
  url: URL,
  silence: AbortController,
  idleTimeoutMs: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      // Counts only while the server is waited for, and not while the rows before are written.
      const timer = setTimeout(() => silence.abort(), idleTimeoutMs);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw asUnavailable(error, url, signal);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function versionOf(response: Response): string {
  const facts = ["etag", "last-modified", "content-length"].map((name) => response.headers.get(name) ?? "");
  return facts[0] === "" && facts[1] === "" ? "" : facts.join("|").slice(0, 512);
}

function asUnavailable(error: unknown, url: URL, signal: AbortSignal): StoreError {
  if (error instanceof StoreError) return error;
  const shown = urlName(url);
  if (signal.aborted) return new StoreError("aborted", `Reading ${shown} was stopped.`, { cause: error });
  const isLate = error instanceof Error && error.name === "AbortError";
  const reason = isLate ? "it did not answer in time" : reasonOf(error);
  return new StoreError("source_unavailable", `${shown} could not be fetched: ${reason}.`, { cause: error });
}

/** What the runtime says is `fetch failed`; what happened is in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return code === "" ? messageOf(cause) : code;
}
