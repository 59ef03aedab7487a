/**
 * float8 and int8 values from numbers, bigints and decimal text. Nothing is ever rounded: a decimal that does not
 * equal the shortest form of the float8 read from it is rejected, and so is a fraction for an int8. Decimals of up
 * to 15 significant digits always pass. Negative zero becomes zero: they are equal, and files then have one spelling.
 */
import type { Rejection } from "../dataset.ts";
import { readDecimal, sameDecimal } from "./decimal-text.ts";
import { showValue } from "./show-value.ts";

const INT8_MIN = -(2n ** 63n);
const INT8_MAX = 2n ** 63n - 1n;
/** An int8 has at most this many digits. */
const INT8_DIGITS = 19;
/** Every decimal of so many digits is kept by float8 exactly as written. */
const FLOAT8_SAFE_DIGITS = 15;

/** Powers of ten that float8 holds exactly and that a fast division may use; a longer fraction takes the long way. */
const POWERS_OF_TEN = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/**
 * Reads a float8.
 *
 * @param column - Name of the column, for the message.
 * @param value - A number, a bigint, or decimal text: optional sign, digits, point, exponent; blanks around are ignored.
 * @returns The finite number, or a rejection: `number_invalid` (not a decimal number, NaN, infinity), `number_not_exact`.
 */
export function parseFloat8(column: string, value: unknown): number | Rejection {
  if (typeof value === "string") {
    const quick = quickDecimal(value);
    return quick === undefined ? float8FromText(column, value) : quick;
  }
  if (typeof value === "number") {
    return Number.isFinite(value) ? value + 0 : invalid(column, value, "which is not a finite number");
  }
  if (typeof value === "bigint") {
    // Beyond this float8 has no finite values, and writing out the digits would take long.
    if (BigInt.asIntN(1025, value) !== value) return inexact(column, value, OUTSIDE_FLOAT8);
    return float8FromText(column, String(value));
  }
  return invalid(column, value, "which is not a decimal number");
}

/**
 * Reads an int8.
 *
 * @param column - Name of the column, for the message.
 * @param value - A safe integer, a bigint, or decimal text of a whole number (`12`, `12.0`, `1.2e1`).
 * @returns The bigint, or a rejection: `number_invalid`, `number_not_exact` (a fraction), `number_out_of_range`.
 */
export function parseInt8(column: string, value: unknown): bigint | Rejection {
  if (typeof value === "string") {
    const quick = quickDecimal(value);
    return quick !== undefined && Number.isInteger(quick) ? BigInt(quick) : int8FromText(column, value);
  }
  if (typeof value === "bigint") {
    return value >= INT8_MIN && value <= INT8_MAX ? value : outOfRange(column, value);
  }
  if (typeof value !== "number") return invalid(column, value, "which is not a whole number");
  if (Number.isSafeInteger(value)) return BigInt(value);
  if (!Number.isFinite(value)) return invalid(column, value, "which is not a finite number");
  if (!Number.isInteger(value)) return inexact(column, value, "which is not a whole number");
  return inexact(column, value, "which is past the whole numbers that a float keeps exactly; pass a bigint or text");
}

/**
 * Plain decimals of at most 15 digits, without an exponent: digits and divisor are then both exact as floats, so
 * one division rounds correctly, and the result's shortest form is the text itself. Undefined for all others.
 */
function quickDecimal(text: string): number | undefined {
  const length = text.length;
  if (length > FLOAT8_SAFE_DIGITS + 2) return undefined;
  let at = text.charCodeAt(0) === 0x2d ? 1 : 0;
  const negative = at === 1;
  let mantissa = 0;
  let digits = 0;
  let point = -1;
  for (; at < length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit >= 0 && digit <= 9) {
      mantissa = mantissa * 10 + digit;
      digits++;
    } else if (digit === -2 && point < 0) {
      point = at;
    } else {
      return undefined;
    }
  }
  if (digits === 0 || digits > FLOAT8_SAFE_DIGITS) return undefined;
  const value = point < 0 ? mantissa : mantissa / POWERS_OF_TEN[length - 1 - point]!;
  return negative ? 0 - value : value;
}

const OUTSIDE_FLOAT8 = "which is outside what a float8 can hold";

function float8FromText(column: string, text: string): number | Rejection {
  const trimmed = text.trim();
  const written = readDecimal(trimmed);
  if (written === undefined) return invalid(column, text, "which is not a decimal number");
  const value = Number(trimmed);
  if (!Number.isFinite(value)) return inexact(column, text, OUTSIDE_FLOAT8);
  if (sameDecimal(written, readDecimal(String(value))!)) return value + 0;
  if (value === 0) return inexact(column, text, OUTSIDE_FLOAT8);
  return inexact(column, text, `which a float8 cannot keep exactly; the nearest is ${value}`);
}

function int8FromText(column: string, text: string): bigint | Rejection {
  const written = readDecimal(text.trim());
  if (written === undefined) return invalid(column, text, "which is not a whole number");
  if (written.exponent < 0) return inexact(column, text, "which is not a whole number");
  if (written.digits.length + written.exponent > INT8_DIGITS) return outOfRange(column, text);
  const magnitude = BigInt(`0${written.digits}${"0".repeat(written.exponent)}`);
  const value = written.negative ? -magnitude : magnitude;
  return value >= INT8_MIN && value <= INT8_MAX ? value : outOfRange(column, text);
}

function invalid(column: string, value: unknown, why: string): Rejection {
  return { code: "number_invalid", message: `${column} is ${showValue(value)}, ${why}.` };
}

function inexact(column: string, value: unknown, why: string): Rejection {
  return { code: "number_not_exact", message: `${column} is ${showValue(value)}, ${why}.` };
}

function outOfRange(column: string, value: unknown): Rejection {
  return {
    code: "number_out_of_range",
    message: `${column} is ${showValue(value)}, which is outside ${INT8_MIN} to ${INT8_MAX}.`,
  };
}
