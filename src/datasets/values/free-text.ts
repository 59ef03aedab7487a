/** Text that is a value and not a key: kept as it is, blanks and line breaks included. */
import type { Rejection } from "../dataset.ts";
import { showValue } from "./show-value.ts";
import { isLongerThan } from "./text.ts";

/** @returns The text itself, or a rejection: `text_invalid`, `nul_in_text`, `text_too_long`. */
export function parseFreeText(column: string, value: unknown, maxCharacters: number): string | Rejection {
  if (typeof value !== "string") return rejected("text_invalid", column, value, "which is not text");
  if (value.includes("\0")) return rejected("nul_in_text", column, value, "which contains a NUL character");
  if (!value.isWellFormed()) {
    return rejected("text_invalid", column, value, "which is not valid Unicode (half of a surrogate pair)");
  }
  if (isLongerThan(value, maxCharacters)) {
    return rejected("text_too_long", column, value, `which is longer than ${maxCharacters} characters`);
  }
  return value;
}

function rejected(code: Rejection["code"], column: string, value: unknown, why: string): Rejection {
  return { code, message: `${column} is ${showValue(value)}, ${why}.` };
}
