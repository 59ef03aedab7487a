/**
 * The one error class of the project. Its message is a whole sentence for people (what, which value, what to do),
 * its `code` is for programs. It never carries secrets.
 */
import { ERROR_CODES, type ErrorCode } from "./codes.ts";

interface StoreErrorOptions {
  readonly cause?: unknown;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Thrown by every public function of the library. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  /** Stable code, for programs. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later without being changed. */
  readonly retryable: boolean;
  /** HTTP status of an answer that carries this error. */
  readonly status: number;
  /** Facts for programs; JSON-safe, no secrets. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: StoreErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = ERROR_CODES[code].retryable;
    this.status = ERROR_CODES[code].status;
    this.details = options.details ?? {};
  }
}

/** The error's text, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
