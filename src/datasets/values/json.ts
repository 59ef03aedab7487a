/**
 * JSON objects as values. Text is passed on as written, so that every digit of its numbers is kept; an object is written
 * out. What JSON or PostgreSQL cannot hold is rejected and never turned into null.
 */
import type { Rejection } from "../dataset.ts";
import { jsonTokens } from "./json-text.ts";
import { showValue } from "./show-value.ts";

/** Deeper nesting would end in a stack overflow, here or on the server. */
const MAX_DEPTH = 64;
/** As it is given, and as it comes back: PostgreSQL puts blanks into it and writes exponents out. */
const MAX_CHARACTERS = 1_000_000;
/** Written out. PostgreSQL's numerics end at about 131,000 digits before the point and 16,000 after it; nobody means such numbers. */
const MAX_NUMBER_CHARACTERS = 1_100;

/**
 * Reads a JSON object.
 *
 * @param value - An object of plain JSON values (a bigint counts as a number), or the text of one.
 * @returns JSON text, or a rejection: `json_invalid`, `nul_in_text`, `text_too_long`, `number_out_of_range`.
 */
export function parseJson(column: string, value: unknown): string | Rejection {
  const text = typeof value === "string" ? value : jsonText(column, value);
  if (typeof text !== "string") return text;
  return text.length > MAX_CHARACTERS ? tooLong(column) : checked(column, text);
}

function tooLong(column: string): Rejection {
  return { code: "text_too_long", message: `${column} is longer than ${MAX_CHARACTERS} characters.` };
}

/** Why a part of a value is no JSON. */
class NotJson {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

function jsonText(column: string, value: unknown): string | Rejection {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return notObject(column, value);
  try {
    return written(value, 0);
  } catch (error) {
    if (error instanceof NotJson) return { code: "json_invalid", message: `${column} holds ${error.why}.` };
    throw error;
  }
}

function written(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) throw new NotJson(`more than ${MAX_DEPTH} levels`);
  if (value === null || typeof value === "boolean" || typeof value === "string") {
    return JSON.stringify(value);
  }
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((each) => written(each, depth + 1)).join(",")}]`;
  if (typeof value === "object" && isPlain(value)) {
    const members = Object.entries(value).filter(([, each]) => each !== undefined);
    return `{${members.map(([name, each]) => `${JSON.stringify(name)}:${written(each, depth + 1)}`).join(",")}}`;
  }
  throw new NotJson(`${showValue(value)}, which is no JSON value`);
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function checked(column: string, text: string): string | Rejection {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return notObject(column, text);
    if (isTooDeep(parsed, 0))
      return { code: "json_invalid", message: `${column} holds more than ${MAX_DEPTH} levels.` };
  } catch {
    return { code: "json_invalid", message: `${column} is ${showValue(text)}, which is no JSON object.` };
  }
  // What is stored has to fit when it comes back in a dump.
  let characters = 0;
  for (const { token } of jsonTokens(text)) {
    const problem = tokenProblem(column, token);
    if (problem !== undefined) return problem;
    characters += storedCharacters(token);
  }
  return characters > MAX_CHARACTERS ? tooLong(column) : text;
}

/** How long a token is, at most, in the text that PostgreSQL makes of it: a blank follows commas and colons. */
function storedCharacters(token: string): number {
  if (token === "," || token === ":") return 2;
  return isNumber(token) ? numberCharacters(token) : token.length;
}

const isNumber = (token: string): boolean => /^[-\d]/.test(token);

/** Digits of a number without an exponent, at most. */
function numberCharacters(token: string): number {
  const exponent = /[eE](.+)/.exec(token)?.[1];
  return token.length + Math.abs(Number(exponent ?? 0));
}

function tokenProblem(column: string, token: string): Rejection | undefined {
  if (token.startsWith('"')) return textProblem(column, token.includes("\\") ? (JSON.parse(token) as string) : token);
  return isNumber(token) ? numberProblem(column, token) : undefined;
}

function isTooDeep(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth > MAX_DEPTH || Object.values(value).some((each) => isTooDeep(each, depth + 1));
}

function numberProblem(column: string, source: string): Rejection | undefined {
  if (numberCharacters(source) <= MAX_NUMBER_CHARACTERS) return undefined;
  return {
    code: "number_out_of_range",
    message: `${column} holds the number ${showValue(source)}, which is out of range.`,
  };
}

function textProblem(column: string, text: string): Rejection | undefined {
  if (text.includes("\0")) return { code: "nul_in_text", message: `${column} holds text with a NUL character.` };
  if (text.isWellFormed()) return undefined;
  return {
    code: "json_invalid",
    message: `${column} holds text that is not valid Unicode (half of a surrogate pair).`,
  };
}

function notObject(column: string, value: unknown): Rejection {
  return { code: "json_invalid", message: `${column} is ${showValue(value)}, which is no JSON object.` };
}
