/**
 * Decimal text taken apart exactly: sign, significant digits, power of ten. The base of every test of whether a
 * number is stored as written. Knows the grammar of decimals (`-12.50`, `.5`, `5.`, `1e-7`) and nothing of columns.
 */

/**
 * The value `digits × 10^exponent`, negated where `negative`. `digits` has neither leading nor trailing zeros and is
 * empty for zero, whose exponent is 0: two decimals are equal exactly when all their fields are (sign of zero aside).
 */
export interface Decimal {
  readonly negative: boolean;
  readonly digits: string;
  readonly exponent: number;
}

const DECIMAL = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d+))?$/;

/** Longest text that is looked at; float8 needs at most 767 digits to be written out in full. */
const MAX_DECIMAL_LENGTH = 1_100;

/** Takes decimal text apart, or gives undefined where it is none. Surrounding blanks are the caller's to trim. */
export function readDecimal(text: string): Decimal | undefined {
  if (text.length > MAX_DECIMAL_LENGTH) return undefined;
  const parts = DECIMAL.exec(text);
  if (parts === null) return undefined;
  const fraction = parts[3] ?? parts[4] ?? "";
  const all = (parts[2] ?? "") + fraction;
  let first = 0;
  while (first < all.length && all.charCodeAt(first) === 0x30) first++;
  let end = all.length;
  while (end > first && all.charCodeAt(end - 1) === 0x30) end--;
  const negative = parts[1] === "-";
  if (first === end) return { negative, digits: "", exponent: 0 };
  // An exponent beyond 2^53 is no longer exact as a number, but such a value overflows or underflows all the same.
  const exponent = Number(parts[5] ?? "0") - fraction.length + (all.length - end);
  return { negative, digits: all.slice(first, end), exponent };
}

/** Whether two decimals are the same number. */
export function sameDecimal(a: Decimal, b: Decimal): boolean {
  return a.digits === b.digits && a.exponent === b.exponent && (a.negative === b.negative || a.digits === "");
}
