/**
 * What callers say about a run, checked and as the parameters of the ledger's functions. Nothing unknown is passed
 * over: a misspelt count would be a lost one.
 */
import type { JsonObject, TimeInput } from "../datasets/dataset.ts";
import { parseJson } from "../datasets/values/json.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { parseText } from "../datasets/values/text.ts";
import { hideSecrets } from "../errors/hide-secrets.ts";
import { requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import { RUN_MODES, RUN_STATUSES, type RunMode, type RunStatus } from "./job-run.ts";
import { timeText } from "./latest.ts";
import { accepted } from "./window.ts";

/** What is known of a run when it begins. */
export interface NewRun {
  /** UUID, for a caller that has to know it before the run begins; a second call with it answers with the same run. */
  readonly run_id?: string;
  /** 1 to 64 characters; the same for all runs of a job. */
  readonly job_name: string;
  readonly mode: RunMode;
  readonly dataset?: string;
  readonly provider?: string;
  /** See configFingerprint. */
  readonly config_fingerprint?: string;
  /** What the run is about; at most 100,000, kept once each. */
  readonly symbols?: readonly string[];
  readonly metadata?: JsonObject;
}

/** What came to a run since it was last heard of; everything adds to what is there. */
export interface RunProgress {
  /** Rows since the last call, not in all. */
  readonly rows_written?: number | bigint;
  readonly rows_failed?: number | bigint;
  /** Symbols that may be new; a list that grew is stored anew, so name many in one call rather than each in its own. */
  readonly symbols?: readonly string[];
  /** The run's window is widened to hold these. */
  readonly min_ts?: TimeInput;
  readonly max_ts?: TimeInput;
  /** Its members are added; one of the same name is replaced. */
  readonly metadata?: JsonObject;
}

/** How a run ends, with its last progress. */
export interface RunOutcome extends RunProgress {
  /** `succeeded` unless given. */
  readonly status?: Exclude<RunStatus, "running">;
  /** Why it failed or was cancelled; passwords and tokens are taken out, and what is past 4,000 characters. */
  readonly error?: string;
}

/** Far above any universe of symbols, and still a list that one row can hold. */
const MAX_SYMBOLS = 100_000;
const MAX_ERROR_CHARACTERS = 4_000;
/** The largest int8. */
const MAX_ROWS = 2n ** 63n - 1n;
/** A century: longer periods are mistakes in the unit. */
const MAX_DAYS = 36_500;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const FINGERPRINT = /^[0-9a-f]{16}$/;
const PROGRESS_FIELDS = ["rows_written", "rows_failed", "symbols", "min_ts", "max_ts", "metadata"];
const NEW_RUN_FIELDS = [
  "run_id",
  "job_name",
  "mode",
  "dataset",
  "provider",
  "config_fingerprint",
  "symbols",
  "metadata",
];

/** In the order of mds.start_run, after the id. */
export function newRunValues(run: NewRun): unknown[] {
  requireFields("A new run", run, NEW_RUN_FIELDS);
  const { config_fingerprint: fingerprint = null } = run;
  if (fingerprint !== null && !FINGERPRINT.test(fingerprint)) {
    throw usage(`config_fingerprint is ${showValue(fingerprint)}; make it with configFingerprint.`);
  }
  return [
    accepted(parseText("job_name", run.job_name)),
    oneOf("mode", run.mode, RUN_MODES),
    textOrNull("dataset", run.dataset),
    textOrNull("provider", run.provider),
    fingerprint,
    symbolsOf(run.symbols),
    metadataOf(run.metadata),
  ];
}

/** In the order of mds.progress_run, after the id. */
export function progressValues(progress: RunProgress, fields: readonly string[] = PROGRESS_FIELDS): unknown[] {
  requireFields("Progress of a run", progress, fields);
  const { min_ts: min, max_ts: max } = progress;
  return [
    rowsOf("rows_written", progress.rows_written ?? 0),
    rowsOf("rows_failed", progress.rows_failed ?? 0),
    symbolsOf(progress.symbols),
    min == null ? null : timeText("min_ts", min),
    max == null ? null : timeText("max_ts", max),
    metadataOf(progress.metadata),
  ];
}

/** In the order of mds.complete_run, after the id. */
export function outcomeValues(outcome: RunOutcome): unknown[] {
  const known = ["status", "error", ...PROGRESS_FIELDS];
  requireFields("The outcome of a run", outcome, known);
  const { status = "succeeded", error } = outcome;
  if (error !== undefined && status === "succeeded") {
    throw usage("A run that succeeded has no error; give its status as failed or cancelled.");
  }
  const values = progressValues(outcome, known);
  return [oneOf("status", status, RUN_STATUSES.slice(1)), error === undefined ? null : errorText(error), ...values];
}

/** @throws StoreError where it is no UUID. */
export function runIdOf(runId: unknown): string {
  if (typeof runId === "string" && UUID.test(runId)) return runId.toLowerCase();
  throw usage(`The run's id is ${showValue(runId)}; it is the UUID that start gave.`);
}

/** A filter's values, in the order of their names; null where there is none. */
export function filterValues(filter: object, names: readonly string[]): unknown[] {
  requireFields("A list of runs", filter, [...names, "limit"]);
  const given = filter as Readonly<Record<string, unknown>>;
  return names.map((name) => textOrNull(name, given[name]));
}

/** @throws StoreError where it is no whole number within bounds. */
export function wholeNumber(name: string, value: unknown, max = MAX_DAYS): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= max) return value as number;
  throw usage(`${name} is ${showValue(value)}; it must be a whole number from 1 to ${max}.`);
}

/** An error must not be what keeps a run from being completed, so whatever it holds is made to fit. */
function errorText(error: string): string {
  const text = hideSecrets(String(error)).replaceAll("\0", "\ufffd");
  const kept = text.length <= MAX_ERROR_CHARACTERS ? text : `${text.slice(0, MAX_ERROR_CHARACTERS - 1)}…`;
  return kept.toWellFormed();
}

function rowsOf(name: string, count: unknown): string {
  const isCount = typeof count === "bigint" || Number.isSafeInteger(count);
  if (isCount && (count as number | bigint) >= 0 && (count as number | bigint) <= MAX_ROWS) return String(count);
  throw usage(`${name} is ${showValue(count)}; it must be a whole number of rows, 0 or more.`);
}

function symbolsOf(symbols: unknown): string[] | null {
  if (symbols == null) return null;
  if (!Array.isArray(symbols)) throw usage(`symbols is ${showValue(symbols)}; it must be an array of texts.`);
  if (symbols.length > MAX_SYMBOLS) {
    throw usage(
      `symbols has ${symbols.length} entries; a run keeps at most ${MAX_SYMBOLS}. Leave them out, or say in metadata which they are.`,
    );
  }
  return symbols.map((one: unknown) => accepted(parseText("symbols", one)));
}

function metadataOf(metadata: unknown): string | null {
  return metadata == null ? null : accepted(parseJson("metadata", metadata));
}

function textOrNull(name: string, text: unknown): string | null {
  return text == null ? null : accepted(parseText(name, text));
}

function oneOf(name: string, value: unknown, allowed: readonly string[]): string {
  if (typeof value === "string" && allowed.includes(value)) return value;
  throw usage(`${name} is ${showValue(value)}; it must be one of ${allowed.join(", ")}.`);
}

function usage(message: string): StoreError {
  return new StoreError("usage", message);
}
