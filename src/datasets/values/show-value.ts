/**
 * A value as an error message shows it: quoted, cut to a length that fits a line, nothing in it that could move a
 * terminal's cursor or turn the reading direction. Never calls code of the value itself (no toString, no toJSON).
 */

/** Characters of a value that a message shows; more would bury the sentence around it. */
const MAX_SHOWN = 60;

// Controls, line and paragraph separators, and the marks that turn the reading direction.
const UNSAFE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * Shows any value inside a sentence.
 *
 * @returns Text such as `"abc"`, `12`, `null`, `an object`; never longer than about 70 characters.
 */
export function showValue(value: unknown): string {
  switch (typeof value) {
    case "string":
      return showText(value);
    case "number":
    case "boolean":
    case "undefined":
      return String(value);
    case "bigint":
      // The digits of a huge integer are not worth computing: its size alone says that it does not fit.
      return BigInt.asIntN(256, value) === value ? cut(String(value)) : "an integer of more than 256 bits";
    case "object":
      return showObject(value);
    default:
      return `a ${typeof value}`;
  }
}

function showText(text: string): string {
  // Cut first: escaping megabytes to show sixty characters would be waste.
  return escapeUnsafe(JSON.stringify(cut(text)));
}

/** Text that goes into a sentence unquoted, such as a file's name: characters that act on a terminal are written out. */
export function escapeUnsafe(text: string): string {
  return text.replace(UNSAFE, escapeCharacter);
}

function cut(text: string): string {
  if (text.length <= MAX_SHOWN) return text;
  const last = text.charCodeAt(MAX_SHOWN - 1);
  const splitsPair = last >= 0xd800 && last <= 0xdbff;
  return `${text.slice(0, splitsPair ? MAX_SHOWN - 1 : MAX_SHOWN)}…`;
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function showObject(value: object | null): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return value instanceof Date ? "a Date" : "an object";
}
