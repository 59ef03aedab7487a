/**
 * The tracks API of the platform's registry. What has not changed since it was fetched is not fetched again (ETag). An
 * answer that is none of a registry's is refused, never taken for a schema.
 */
import { z } from "zod";
import type { JsonSchema } from "../contracts/schema-hash.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import type { PublishCompatibility } from "./schema-change.ts";
import type { PublishResult, SchemaDocument, SchemaRegistry } from "./schema-registry.ts";

/** Schemas are small; a registry that takes longer is not well. */
const ANSWER_DEADLINE_MS = 5_000;
/** More than any schema; what is larger is something else. */
const MAX_ANSWER_BYTES = 4_194_304;

const version = z.union([z.string(), z.number()]).transform(String);
const document = z.object({
  name: z.string(),
  track: z.string(),
  version,
  content: z.record(z.string(), z.unknown()),
});
const list = z.object({ schemas: z.array(z.object({ name: z.string() })) });
const published = z.object({ version });
const problem = z.object({ detail: z.string(), code: z.string().optional(), details: z.unknown().optional() });
const reasons = z.object({ reasons: z.array(z.string()) });

interface HttpRegistryOptions {
  /** Where it is, e.g. `http://registry:8080`. */
  readonly url: string;
  /** For publishing. */
  readonly token?: string | undefined;
}

interface Answer {
  readonly status: number;
  readonly etag: string | null;
  readonly body: unknown;
}

export class HttpRegistry implements SchemaRegistry {
  readonly #base: string;
  readonly #token: string | undefined;
  /** What was fetched last, by path; as many as the store has contracts. */
  readonly #fetched = new Map<string, { readonly etag: string; readonly document: SchemaDocument }>();

  constructor({ url, token }: HttpRegistryOptions) {
    this.#base = url.endsWith("/") ? url : `${url}/`;
    this.#token = token;
  }

  async check(signal?: AbortSignal): Promise<void> {
    const { status } = await this.#ask("health", signal);
    if (status !== 200) throw unexpected("health", status);
  }

  async fetch(track: string, name: string, signal?: AbortSignal): Promise<SchemaDocument | undefined> {
    const path = schemaPath(track, name);
    const known = this.#fetched.get(path);
    const answer = await this.#ask(path, signal, known && { headers: { "if-none-match": known.etag } });
    if (answer.status === 304 && known !== undefined) return known.document;
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw unexpected(path, answer.status);
    const found = document.safeParse(answer.body);
    if (!found.success) throw noRegistry(path);
    if (answer.etag !== null) this.#fetched.set(path, { etag: answer.etag, document: found.data });
    return found.data;
  }

  async names(track: string, signal?: AbortSignal): Promise<readonly string[]> {
    const path = `schemas/${encodeURIComponent(track)}`;
    const { status, body } = await this.#ask(path, signal);
    if (status === 404) return [];
    if (status !== 200) throw unexpected(path, status);
    const found = list.safeParse(body);
    if (!found.success) throw noRegistry(path);
    return found.data.schemas.map(({ name }) => name);
  }

  async publish(
    { track, name, content }: { readonly track: string; readonly name: string; readonly content: JsonSchema },
    compatibility: PublishCompatibility,
    signal?: AbortSignal,
  ): Promise<PublishResult> {
    const path = schemaPath(track, name);
    const answer = await this.#ask(`${path}?compatibility=${compatibility}`, signal, {
      method: "PUT",
      body: JSON.stringify(content),
      headers: {
        "content-type": "application/json",
        ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
      },
    });
    const { status } = answer;
    if (status !== 200 && status !== 201) throw refused(name, answer);
    const result = published.safeParse(answer.body);
    if (!result.success) throw noRegistry(path);
    return { version: result.data.version, created: status === 201 };
  }

  async #ask(path: string, signal: AbortSignal | undefined, request: RequestInit = {}): Promise<Answer> {
    const deadline = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    try {
      const response = await fetch(new URL(path, this.#base), {
        ...request,
        redirect: "error",
        signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      });
      return { status: response.status, etag: response.headers.get("etag"), body: parsed(await textOf(response)) };
    } catch (cause) {
      if (cause instanceof StoreError) throw cause;
      if (signal?.aborted) throw new StoreError("aborted", "The call was stopped by its caller.", { cause });
      const reason = deadline.aborted ? `there was no answer within ${ANSWER_DEADLINE_MS} ms` : reasonOf(cause);
      throw new StoreError("registry_unavailable", `The schema registry does not answer: ${reason}.`, { cause });
    }
  }
}

function schemaPath(track: string, name: string): string {
  return `schemas/${encodeURIComponent(track)}/${encodeURIComponent(name)}`;
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new StoreError("registry_refused", "The schema registry's answer is too long.");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What the network said; the address may hold a password, so it is not shown. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return messageOf(cause instanceof AggregateError ? cause.errors[0] : (cause ?? error));
}

function unexpected(path: string, status: number): StoreError {
  const code = status >= 500 || status === 429 ? "registry_unavailable" : "registry_refused";
  return new StoreError(code, `The schema registry answered ${path} with status ${status}.`);
}

function noRegistry(path: string): StoreError {
  return new StoreError("registry_refused", `What answers ${path} at REGISTRY_URL is no schema registry.`);
}

function refused(name: string, { status, body }: Answer): StoreError {
  const told = problem.safeParse(body);
  const detail = told.success ? told.data.detail : `status ${status}`;
  const message = `The schema registry refused ${name}: ${detail}`;
  if (status === 409) {
    const given = told.success ? reasons.safeParse(told.data.details) : undefined;
    return new StoreError("schema_incompatible", message, { details: { reasons: given?.data?.reasons ?? [] } });
  }
  if (status === 422) return new StoreError("schema_invalid", message);
  if (status === 401 || status === 403) return new StoreError("unauthorized", `${message} Set REGISTRY_TOKEN.`);
  return new StoreError(status >= 500 || status === 429 ? "registry_unavailable" : "registry_refused", message);
}
