/**
 * Sends feedback to an HTTP endpoint: one POST an event, the contract's fields and the store's own in one JSON object.
 * It tries again what may pass, within bounds. The bus's buffer before it drops the oldest feedback, so a slow endpoint
 * costs nothing elsewhere. Answers are not read; redirects are refused.
 */
import { ExponentialBackoff, handleWhen, retry } from "cockatiel";
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import type { Feedback, FeedbackSubscriber } from "./feedback-bus.ts";

interface HttpWebhookOptions {
  readonly endpoint: string;
  /** Of one try. */
  readonly timeoutMs: number;
  /** Tries after the first. */
  readonly maxRetries: number;
  /** Before the first retry; doubles with each. */
  readonly backoffMs: number;
}

const OPTIONS = fieldsOf<HttpWebhookOptions>({ endpoint: true, timeoutMs: true, maxRetries: true, backoffMs: true });
/** Feedback that is older than this helps nobody. */
const MAX_BACKOFF_MS = 10_000;
/** Waiting feedback: more than an endpoint wants to hear of when it is back. */
const CAPACITY = 64;

export class HttpWebhook implements FeedbackSubscriber {
  readonly name = "http";
  readonly capacity = CAPACITY;
  readonly #options: HttpWebhookOptions;
  readonly #ending = new AbortController();

  /** @throws StoreError `usage`. */
  constructor(options: HttpWebhookOptions) {
    requireFields("HttpWebhook", options, OPTIONS);
    if (!/^https?:/.test(URL.parse(options.endpoint)?.protocol ?? "")) {
      throw new StoreError("usage", "endpoint is no http or https URL.");
    }
    for (const name of ["timeoutMs", "maxRetries", "backoffMs"] as const) {
      if (!(typeof options[name] === "number" && options[name] >= 0)) {
        throw new StoreError("usage", `${name} must be a number, 0 or more.`);
      }
    }
    this.#options = options;
  }

  /** @throws StoreError `service_unreachable` when no try succeeded. */
  async deliver(event: Feedback): Promise<void> {
    const { maxRetries, backoffMs } = this.#options;
    const signal = this.#ending.signal;
    const body = JSON.stringify(event);
    if (maxRetries === 0) return this.#post(body, signal);
    const backoff = new ExponentialBackoff({ initialDelay: backoffMs, maxDelay: MAX_BACKOFF_MS });
    const isTransient = (error: unknown): boolean => error instanceof StoreError && error.retryable;
    await retry(handleWhen(isTransient), { maxAttempts: maxRetries, backoff }).execute(
      () => this.#post(body, signal),
      signal,
    );
  }

  /** Ends what is under way; nothing is sent any more. */
  close(): void {
    this.#ending.abort(new StoreError("aborted", "The webhook was closed."));
  }

  async #post(body: string, signal: AbortSignal): Promise<void> {
    const { endpoint, timeoutMs } = this.#options;
    let status: number;
    try {
      const response = await fetch(endpoint, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
        redirect: "error",
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      status = response.status;
      await response.body?.cancel();
    } catch (cause) {
      // The address may carry a token, so the message does not show it.
      throw new StoreError("service_unreachable", `The feedback endpoint does not answer: ${messageOf(cause)}.`);
    }
    if (status < 300) return;
    const code = status >= 500 || status === 408 || status === 429 ? "service_unreachable" : "usage";
    throw new StoreError(code, `The feedback endpoint answered with status ${status}.`);
  }
}
