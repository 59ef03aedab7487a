/**
 * A row that could not be stored, with why, as one line of NDJSON: `ts`, `accepted_at`, `tenant_id`, `dataset`, `code`,
 * `error`, `attempts`, `metadata` and `row`. The line is made with secrets hidden in the error; `row` is typed JSON.
 */
import { DATASETS, type DatasetName } from "../../datasets/registry.ts";
import { ERROR_CODES, type ErrorCode } from "../../errors/codes.ts";
import { hideSecrets } from "../../errors/hide-secrets.ts";
import { parseTypedJson, typedJson } from "../typed-json.ts";

/** Longer sentences are cut: a database's error may quote the whole row. */
const MAX_ERROR_CHARACTERS = 2_000;

/** What the coordinator says of a row that it gives up. */
export interface DeadLetter {
  /** When the row was accepted: milliseconds since the epoch. */
  readonly acceptedAt: number;
  /** UUID of the tenant. */
  readonly tenantId: string;
  readonly dataset: DatasetName;
  readonly code: ErrorCode;
  /** One sentence. */
  readonly error: string;
  /** How often writing was tried. */
  readonly attempts: number;
  /** Whatever else helps people, such as the coordinator's name; JSON. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly row: unknown;
}

/** A letter as it was read from a file. */
export interface StoredLetter extends Required<DeadLetter> {
  /** When it was written: milliseconds since the epoch. */
  readonly at: number;
}

/** The letter's line, with its line feed. */
export function letterLine(letter: DeadLetter, at: number): string {
  const head = JSON.stringify({
    ts: isoTime(at),
    accepted_at: isoTime(letter.acceptedAt),
    tenant_id: letter.tenantId,
    dataset: letter.dataset,
    code: letter.code,
    error: hideSecrets(letter.error).slice(0, MAX_ERROR_CHARACTERS).toWellFormed(),
    attempts: letter.attempts,
  });
  return `${head.slice(0, -1)},"metadata":${typedJson(letter.metadata ?? {})},"row":${typedJson(letter.row)}}\n`;
}

/** The letter of a line; undefined where the line is none, because it is torn or was changed by hand. */
export function parseLetter(line: string): StoredLetter | undefined {
  let fields: Record<string, unknown>;
  try {
    fields = parseTypedJson(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof fields !== "object" || fields === null) return undefined;
  const { ts, accepted_at, tenant_id, dataset, code, error, attempts, metadata, row } = fields;
  const [at, acceptedAt] = [Date.parse(String(ts)), Date.parse(String(accepted_at))];
  if (typeof tenant_id !== "string" || !Object.hasOwn(DATASETS, String(dataset)) || !("row" in fields))
    return undefined;
  return {
    at,
    acceptedAt,
    tenantId: tenant_id,
    dataset: dataset as DatasetName,
    code: Object.hasOwn(ERROR_CODES, String(code)) ? (code as ErrorCode) : "internal",
    error: String(error),
    attempts: Number(attempts),
    metadata: (metadata ?? {}) as Record<string, unknown>,
    row,
  };
}

/** A clock may say anything, and a letter is written all the same. */
function isoTime(at: number): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? new Date(0).toISOString() : date.toISOString();
}
