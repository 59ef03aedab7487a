/**
 * Errors as RFC 9457 problem details: a stable `code` and one sentence, never a stack trace, never an inner error's
 * text. What is ours to mend (status 500) is only named; the log has the rest.
 */
import type { ErrorCode } from "../errors/codes.ts";
import { hideSecrets } from "../errors/hide-secrets.ts";
import { StoreError } from "../errors/store-error.ts";
import { STATUS_CODES } from "./http-names.ts";

export const PROBLEM_CONTENT_TYPE = "application/problem+json";

/** A problem as it is sent. */
export interface Problem {
  readonly type: "about:blank";
  /** The status in words. */
  readonly title: string;
  readonly status: number;
  /** Stable, for programs. */
  readonly code: ErrorCode;
  /** One sentence for people. */
  readonly detail: string;
  /** Facts for programs, such as the fields of a body that are wrong. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Codes of the HTTP framework and of node's parser that are the client's doing. */
const CLIENT_FAULTS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ["body_too_large", "The body is larger than this route accepts."],
  FST_ERR_CTP_INVALID_JSON_BODY: ["body_invalid", "The body is not valid JSON."],
  FST_ERR_CTP_EMPTY_JSON_BODY: ["body_invalid", "The body is empty, but its type is JSON."],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ["request_invalid", "The body is not as long as Content-Length says."],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    "media_type_unsupported",
    "This route does not read bodies of this Content-Type; JSON is sent as application/json.",
  ],
  FST_ERR_BAD_URL: ["request_invalid", "The path is not validly percent-encoded."],
  FST_ERR_MAX_PARAM_LENGTH: ["request_invalid", "A part of the path is too long."],
  HPE_HEADER_OVERFLOW: ["headers_too_large", "The headers are larger than this server accepts."],
  ERR_HTTP_REQUEST_TIMEOUT: ["request_timeout", "The request did not arrive in time."],
};

/** Whatever was thrown, as an error with a code. What is not a client's fault and not ours by name is `internal`. */
export function asStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { code, statusCode } = (error ?? {}) as { code?: unknown; statusCode?: unknown };
  const known = typeof code === "string" ? CLIENT_FAULTS[code] : undefined;
  if (known) return new StoreError(known[0], known[1], { cause: error });
  if (typeof statusCode === "number" && statusCode >= 400 && statusCode < 500) {
    return new StoreError("request_invalid", "The request cannot be read.", { cause: error });
  }
  return new StoreError("internal", "An internal error occurred.", { cause: error });
}

/** The problem that tells a client of an error. */
export function problemOf(error: StoreError): Problem {
  const ours = error.status === 500;
  const tellsDetails = !ours && Object.keys(error.details).length > 0;
  return {
    type: "about:blank",
    title: STATUS_CODES[error.status] ?? "Error",
    status: error.status,
    code: error.code,
    detail: ours ? "An internal error occurred; the service's log has the details." : hideSecrets(error.message),
    ...(tellsDetails ? { details: error.details } : {}),
  };
}
