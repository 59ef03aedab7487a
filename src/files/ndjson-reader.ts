/**
 * Reads NDJSON, one object a line, into rows under a dataset's column names. A bad line costs itself alone; blank ones
 * are skipped. A number that a float might not keep as written is passed on as its text. Where one object names a
 * field twice the last one counts, as JSON parsers have it.
 */
import type { Rejection } from "../datasets/dataset.ts";
import { nestedTexts } from "../datasets/values/json-text.ts";
import { escapeUnsafe, showValue } from "../datasets/values/show-value.ts";
import { messageOf } from "../errors/store-error.ts";
import type { ColumnNames } from "./column-names.ts";
import type { LineBatch } from "./line-reader.ts";
import { emptyBatch, type RawRow, type RecordBatch } from "./record-batch.ts";

type JsonObject = Record<string, unknown>;

/** Longest run of digits and points that float8 is sure to keep: 15 digits, or 14 and a point. */
const SAFE_RUN = 15;
/** Below this float8 keeps fewer digits than 15. */
const SMALLEST_NORMAL = 2.2250738585072014e-308;

/**
 * Reads the records of an NDJSON file.
 *
 * @throws Failures of the source, after all records before them.
 */
export async function* readNdjson(lines: AsyncIterable<LineBatch>, columns: ColumnNames): AsyncGenerator<RecordBatch> {
  for await (const batch of lines) yield readBatch(batch, columns);
}

function readBatch(lines: LineBatch, columns: ColumnNames): RecordBatch {
  const batch = emptyBatch();
  let number = lines.first - 1;
  for (const line of lines.lines) {
    number++;
    if (typeof line !== "string") {
      batch.rejects.push({ line: number, rejection: line.rejection, raw: line.raw });
      continue;
    }
    // Known as such without the parser's help: a body may have millions of them.
    if (line.length === 0 || line === "\r") continue;
    const row = readLine(line, columns);
    if (row === undefined) continue;
    if (isRejection(row)) {
      batch.rejects.push({ line: number, rejection: row[REJECTION], raw: line.trimEnd() });
    } else {
      batch.rows.push(row);
      batch.lines.push(number);
    }
  }
  return batch;
}

/** Marks a rejection among rows, whose own fields may have any name. */
const REJECTION = Symbol("rejection");
type Rejected = { readonly [REJECTION]: Rejection };

function isRejection(row: RawRow | Rejected): row is Rejected {
  return REJECTION in row;
}

function rejected(code: Rejection["code"], message: string): Rejected {
  return { [REJECTION]: { code, message } };
}

/** A row, why there is none, or undefined for a blank line. */
function readLine(line: string, columns: ColumnNames): RawRow | Rejected | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
      return rejected("json_invalid", "The line is JSON but not an object.");
    }
    const object = parsed as JsonObject;
    if (mayLoseDigits(line, object)) restoreDigits(line, object);
    if (columns.hasJson) restoreNested(line, object);
    return mapFields(object, columns);
  } catch (error) {
    return notJson(line, error);
  }
}

function notJson(line: string, error: unknown): Rejected | undefined {
  if (line.trim() === "") return undefined;
  if (line.includes("\0")) return rejected("nul_in_text", "The line contains a NUL character.");
  if (error instanceof RangeError) return rejected("json_invalid", "The line is nested too deeply.");
  return rejected("json_invalid", `The line is not JSON: ${escapeUnsafe(messageOf(error))}.`);
}

function mapFields(object: JsonObject, columns: ColumnNames): RawRow | Rejected {
  const row: RawRow = { ...columns.constants };
  for (const name in object) {
    const target = columns.targetOf(name);
    if (target === null) continue;
    if (target === undefined) {
      return rejected("field_unknown", `${showValue(name)} is no column of ${columns.dataset.name}.`);
    }
    if (target in row) return doubled(name, target, columns);
    row[target] = object[name];
  }
  const missing = columns.isStrict ? columns.needed.filter((name) => !(name in row)) : [];
  if (missing.length > 0) return rejected("field_missing", `The object lacks ${missing.join(", ")}.`);
  return row;
}

function doubled(name: string, target: string, columns: ColumnNames): Rejected {
  const other = target in columns.constants ? "is given by --set" : "is in the object under another name";
  return rejected("field_invalid", `${showValue(name)} means ${target}, which ${other} too.`);
}

/** Whether any number of a line might not be what was written. Cheap, and wrong only to the safe side. */
function mayLoseDigits(line: string, object: JsonObject): boolean {
  if (hasLongNumber(line)) return true;
  for (const name in object) {
    const value = object[name];
    // Only an exponent makes such a value from so few digits; it may have been rounded, to zero or infinity even.
    if (typeof value === "number" && (Math.abs(value) < SMALLEST_NORMAL || !Number.isFinite(value))) {
      return /\d[eE]/.test(line);
    }
  }
  return false;
}

/** Looks at each 16th character only: a run of 16 digits and points cannot lie between two of them. */
function hasLongNumber(line: string): boolean {
  for (let probe = SAFE_RUN; probe < line.length; probe += SAFE_RUN + 1) {
    if (!isDigitOrPoint(line, probe)) continue;
    let from = probe;
    while (isDigitOrPoint(line, from - 1)) from--;
    let to = probe;
    while (isDigitOrPoint(line, to + 1)) to++;
    if (to - from >= SAFE_RUN) return true;
  }
  return false;
}

function isDigitOrPoint(line: string, at: number): boolean {
  const code = line.charCodeAt(at);
  return (code >= 0x30 && code <= 0x39) || code === 0x2e;
}

/** What the runtime tells a reviver about a value; not yet in TypeScript's library. */
interface ReviverContext {
  readonly source?: string;
}

/** Replaces the object's own numbers by their text; those deeper inside are kept with the text of their column. */
function restoreDigits(line: string, object: JsonObject): void {
  const numbers: { holder: unknown; name: string; source: string }[] = [];
  function collect(this: unknown, name: string, value: unknown, context?: ReviverContext): unknown {
    if (typeof value === "number" && context?.source !== undefined) {
      numbers.push({ holder: this, name, source: context.source });
    }
    return value;
  }
  const again: unknown = JSON.parse(line, collect);
  for (const { holder, name, source } of numbers) if (holder === again) object[name] = source;
}

/** Objects and arrays as the text that they were: that keeps every digit and every key. */
function restoreNested(line: string, object: JsonObject): void {
  for (const [name, text] of nestedTexts(line)) if (name in object) object[name] = text;
}
