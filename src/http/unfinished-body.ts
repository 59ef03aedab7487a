/**
 * Bodies that are read as they arrive, and may never end. A reader is told of a body that breaks off or takes too long
 * in its place among the bytes, so that its route can answer; a client that still sends is let read an early answer.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { StoreError } from "../errors/store-error.ts";
import { asStoreError } from "./problem.ts";

/** Who answers before the body's end goes on reading for so long: a connection closed at once would lose the answer. */
const LINGER_MS = 2_000;

type Told = (error: Error & { code?: string }) => void;
/** Readers of bodies under way. */
const readers = new WeakMap<Duplex, Told>();

/** Tells the reader of a connection's body that its rest cannot be had; false when nobody reads one. */
export function tellUnfinishedBody(socket: Duplex, error: Error & { code?: string }): boolean {
  const reader = readers.get(socket);
  reader?.(error);
  return reader !== undefined;
}

/**
 * The bytes of a body. Reads no further than the caller takes, and leaves the connection as it is when that is early.
 *
 * @param signal - Ends the reading with its reason, which is a StoreError.
 * @throws StoreError `body_too_large` after `limitBytes`; `request_timeout`; `body_incomplete` when it breaks off; the
 *   signal's reason. Each comes after all bytes before it.
 */
export async function* readBytes(
  request: IncomingMessage,
  limitBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const body = new BodyReader(request);
  const stop = (): void => body.fail(signal.reason as StoreError);
  let bytes = 0;
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) {
      bytes += chunk.length;
      if (bytes > limitBytes) throw bodyTooLarge(limitBytes);
      yield chunk;
    }
  } finally {
    signal.removeEventListener("abort", stop);
    body.end();
  }
}

/** @throws StoreError `body_too_large` when the head announces more than `limitBytes`. */
export function refuseLargeBody(request: IncomingMessage, limitBytes: number): void {
  if (Number(request.headers["content-length"] ?? 0) > limitBytes) throw bodyTooLarge(limitBytes);
}

/** Takes and forgets what a client still sends while it is answered, for a while; then the connection is closed. */
export function lingerOver(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  request.resume();
  const timer = setTimeout(() => request.destroy(), LINGER_MS);
  request.once("close", () => clearTimeout(timer));
}

class BodyReader {
  readonly #request: IncomingMessage;
  readonly #wake = (): void => this.#waiting?.resolve();
  readonly fail = (cause: Error & { code?: string }): void => {
    this.#fault ??= faultOf(cause);
    this.#wake();
  };
  #waiting: PromiseWithResolvers<void> | undefined;
  #fault: StoreError | undefined;

  constructor(request: IncomingMessage) {
    this.#request = request;
    request.on("readable", this.#wake).on("end", this.#wake).on("error", this.fail).on("close", this.#wake);
    readers.set(request.socket, this.fail);
  }

  /** Undefined at the end. */
  async next(): Promise<Buffer | undefined> {
    const request = this.#request;
    for (;;) {
      const chunk = request.read() as Buffer | null;
      if (chunk !== null) return chunk;
      if (request.readableEnded) return undefined;
      if (this.#fault !== undefined) throw this.#fault;
      if (request.destroyed) throw incomplete();
      this.#waiting = Promise.withResolvers<void>();
      await this.#waiting.promise;
    }
  }

  end(): void {
    const request = this.#request;
    readers.delete(request.socket);
    request.off("readable", this.#wake).off("end", this.#wake).off("close", this.#wake);
    // Its error handler stays: a connection that breaks later is nobody's fault.
  }
}

function faultOf(cause: Error & { code?: string }): StoreError {
  if (cause instanceof StoreError) return cause;
  const error = asStoreError({ code: cause.code, statusCode: 400 });
  return error.code === "request_timeout" ? error : incomplete(cause);
}

function incomplete(cause?: unknown): StoreError {
  return new StoreError("body_incomplete", "The body breaks off before its end.", { cause });
}

function bodyTooLarge(limitBytes: number): StoreError {
  return new StoreError("body_too_large", `The body is larger than ${limitBytes} bytes; send it in parts.`);
}
