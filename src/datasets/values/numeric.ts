/**
 * Exact decimals of a given precision and scale, as PostgreSQL's numeric(p,s) keeps them, in one spelling: plain digits,
 * no trailing zeros, no sign on zero. A number that needs more digits is rejected, never rounded.
 */
import type { Rejection } from "../dataset.ts";
import { type Decimal, readDecimal } from "./decimal-text.ts";
import { showValue } from "./show-value.ts";

/** Of dimensions such as an option's strike. */
export const DECIMAL_PRECISION = 18;
export const DECIMAL_SCALE = 6;

/**
 * Reads a decimal.
 *
 * @param value - Decimal text, a bigint, or a number, of which the shortest form counts.
 * @returns Its text, or a rejection: `number_invalid`, `number_not_exact` (too many decimal places), `number_out_of_range`.
 */
export function parseNumeric(column: string, value: unknown, precision: number, scale: number): string | Rejection {
  const text = typeof value === "string" ? value.trim() : String(value);
  const isNumber = typeof value === "string" || typeof value === "number" || typeof value === "bigint";
  const decimal = isNumber ? readDecimal(text) : undefined;
  if (decimal === undefined) return rejected("number_invalid", column, value, "which is not a decimal number");
  if (decimal.exponent < -scale) {
    return rejected("number_not_exact", column, value, `which has more than ${scale} decimal places`);
  }
  if (decimal.digits.length + decimal.exponent > precision - scale) {
    return rejected(
      "number_out_of_range",
      column,
      value,
      `which has more than ${precision - scale} digits before the point`,
    );
  }
  return plainText(decimal);
}

function plainText({ negative, digits, exponent }: Decimal): string {
  if (digits === "") return "0";
  const sign = negative ? "-" : "";
  if (exponent >= 0) return `${sign}${digits}${"0".repeat(exponent)}`;
  const whole = digits.slice(0, exponent) || "0";
  return `${sign}${whole}.${digits.slice(exponent).padStart(-exponent, "0")}`;
}

function rejected(code: Rejection["code"], column: string, value: unknown, why: string): Rejection {
  return { code, message: `${column} is ${showValue(value)}, ${why}.` };
}
