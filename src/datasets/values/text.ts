/**
 * Text keys (vendor, symbol): trimmed, case kept, 1 to 64 characters, nothing in them that PostgreSQL or a terminal
 * could stumble over. Does not fold case and does not normalise Unicode: both would merge distinct symbols.
 */
import type { Rejection } from "../dataset.ts";
import { showValue } from "./show-value.ts";

/** Longest text key, in characters (code points, as PostgreSQL counts them). */
export const MAX_TEXT_CHARACTERS = 64;

const CONTROL = /\p{Cc}/u;

/**
 * Reads a text key.
 *
 * @param column - Name of the column, for the message.
 * @param value - Text; white space around it is dropped.
 * @returns The trimmed text, or a rejection: `text_empty`, `text_too_long`, `text_invalid`, `nul_in_text`.
 */
export function parseText(column: string, value: unknown): string | Rejection {
  if (typeof value !== "string") return notText(column, value);
  return isPlain(value) ? value : parseUnusual(column, value);
}

/** Visible ASCII without blanks, short: what nearly every key is, and nothing to check about it. */
function isPlain(text: string): boolean {
  const length = text.length;
  if (length === 0 || length > MAX_TEXT_CHARACTERS) return false;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code <= 0x20 || code >= 0x7f) return false;
  }
  return true;
}

function parseUnusual(column: string, text: string): string | Rejection {
  if (text.includes("\0")) return rejected("nul_in_text", column, text, "which contains a NUL character");
  const trimmed = text.trim();
  if (trimmed === "") return rejected("text_empty", column, text, "which is empty");
  if (isLongerThan(trimmed, MAX_TEXT_CHARACTERS)) {
    return rejected("text_too_long", column, text, `which is longer than ${MAX_TEXT_CHARACTERS} characters`);
  }
  if (CONTROL.test(trimmed)) return rejected("text_invalid", column, text, "which contains a control character");
  if (!trimmed.isWellFormed()) {
    return rejected("text_invalid", column, text, "which is not valid Unicode (half of a surrogate pair)");
  }
  return trimmed;
}

/** Whether a text has more characters (code points) than that. */
export function isLongerThan(text: string, maxCharacters: number): boolean {
  // A character takes one or two code units, so only lengths in between need counting.
  if (text.length <= maxCharacters) return false;
  if (text.length > 2 * maxCharacters) return true;
  let characters = 0;
  for (const _ of text) characters++;
  return characters > maxCharacters;
}

function notText(column: string, value: unknown): Rejection {
  const hint = typeof value === "number" ? "a number and not text; put it in quotes" : "not text";
  return rejected("text_invalid", column, value, `which is ${hint}`);
}

function rejected(code: Rejection["code"], column: string, value: unknown, why: string): Rejection {
  return { code, message: `${column} is ${showValue(value)}, ${why}.` };
}
