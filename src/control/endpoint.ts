/**
 * What a route of the service is, as data: where it is, who may call it, what it takes and answers. Routes, the OpenAPI
 * document and the typed client are functions of it. Schemas are named, not imported, so that nothing loads them early.
 */
import type { z } from "zod";
import type { ErrorCode } from "../errors/codes.ts";
import type { SCHEMAS } from "./schemas.ts";

/** Name of a schema, here and in the OpenAPI document. */
export type SchemaName = keyof typeof SCHEMAS;

interface Answer {
  readonly description: string;
  /** Of a JSON answer. */
  readonly schema?: SchemaName;
  /** Of an answer that is no JSON. */
  readonly mediaType?: string;
}

export interface Endpoint {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With parameters in braces, e.g. `/jobs/{id}`. */
  readonly path: string;
  /** Heading under which it is documented. */
  readonly tag: string;
  /** A few words. */
  readonly summary: string;
  /** Whole sentences. */
  readonly description?: string;
  readonly auth: "none" | "admin" | "ingest";
  readonly params?: SchemaName;
  readonly query?: SchemaName;
  /** `backfill`: by the schema of the job that the path names. `rows`: those of the dataset that the path names. */
  readonly body?: SchemaName | "backfill" | "rows";
  /** Schema of its problems, where they have members beside the usual ones. */
  readonly problem?: SchemaName;
  /** Whether a request without a body counts as `{}`. */
  readonly isBodyOptional?: boolean;
  /** It makes a job: takes `Idempotency-Key`, and answers 202 with `Location`. */
  readonly makesJob?: boolean;
  /** By status; the first is that of success. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Beside those that its kind brings: wrong bodies, tokens, keys, and a database that is away. */
  readonly errors?: readonly ErrorCode[];
}

type Schema<Name> = Name extends SchemaName ? (typeof SCHEMAS)[Name] : never;
type Parsed<E, Part extends string> =
  E extends Readonly<Record<Part, infer Name>>
    ? Name extends SchemaName
      ? z.output<Schema<Name>>
      : unknown
    : undefined;

/** What a handler is given, parsed. */
export interface ParsedInput<E> {
  readonly params: Parsed<E, "params">;
  readonly query: Parsed<E, "query">;
  readonly body: Parsed<E, "body">;
}

type Answers<E> = E extends { readonly answers: infer A } ? A[keyof A] : never;

/** What an endpoint answers with, parsed; undefined for an answer without a body. */
export type AnswerOf<E> =
  Answers<E> extends { readonly schema: infer Name extends SchemaName } ? z.output<Schema<Name>> : undefined;

/** Kinds of error that every endpoint of a kind may answer with. */
const ADMIN_ERRORS: readonly ErrorCode[] = ["unauthorized", "too_many_attempts", "admin_disabled", "request_invalid"];
const INGEST_ERRORS: readonly ErrorCode[] = [
  "unauthorized",
  "token_refused",
  "too_many_attempts",
  "database_unavailable",
  "database_overloaded",
  "internal",
];
const DATABASE_ERRORS: readonly ErrorCode[] = [
  "database_unavailable",
  "database_overloaded",
  "migration_pending",
  "deadline_exceeded",
  "internal",
];
const BODY_ERRORS: readonly ErrorCode[] = [
  "body_invalid",
  "body_too_large",
  "media_type_unsupported",
  "request_timeout",
];
const JOB_ERRORS: readonly ErrorCode[] = [
  "idempotency_key_invalid",
  "idempotency_key_reused",
  "jobs_unavailable",
  "job_queue_full",
];

/** Every code that an endpoint may answer with. */
export function errorsOf(endpoint: Endpoint): readonly ErrorCode[] {
  const isAdmin = endpoint.auth === "admin";
  return [
    ...new Set([
      ...(endpoint.errors ?? []),
      ...(isAdmin ? ADMIN_ERRORS : []),
      ...(endpoint.auth === "ingest" ? INGEST_ERRORS : []),
      ...(endpoint.body === undefined ? [] : BODY_ERRORS),
      ...(endpoint.makesJob ? JOB_ERRORS : []),
      ...(isAdmin ? DATABASE_ERRORS : []),
    ]),
  ];
}

/** The status of success. */
export function successOf({ answers }: Endpoint): number {
  return Number(Object.keys(answers)[0]);
}
