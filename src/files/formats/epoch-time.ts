/**
 * Times that are numbers, in a unit that the file's format says: microseconds, exactly. What is finer than a microsecond
 * or has another number of digits than the unit allows is rejected, never rounded and never guessed.
 */
import type { Rejection } from "../../datasets/dataset.ts";
import { showValue } from "../../datasets/values/show-value.ts";

/** `ms or us`: milliseconds where there are 13 digits, microseconds where there are 16 (September 2001 to 2286). */
export type EpochUnit = "ns" | "ms or us";

const UNIT_NAMES: Readonly<Record<EpochUnit, string>> = {
  ns: "nanoseconds",
  "ms or us": "milliseconds or microseconds",
};

const MS_DIGITS = 13;
const US_DIGITS = 16;
/** More digits than any unit needs; a longer text is no time. */
const MAX_DIGITS = 20;

/** @returns Microseconds since the epoch, or a rejection: `time_invalid`, `time_too_precise`. */
export function parseEpoch(column: string, value: unknown, unit: EpochUnit): bigint | Rejection {
  const text = typeof value === "string" ? value.trim() : String(value);
  if (!/^-?\d+$/.test(text) || text.length > MAX_DIGITS) {
    return invalid(column, value, `which is no number of ${UNIT_NAMES[unit]}`);
  }
  const count = BigInt(text);
  switch (unit) {
    case "ns":
      return count % 1_000n === 0n ? count / 1_000n : tooPrecise(column, value);
    case "ms or us":
      if (text.length === MS_DIGITS) return count * 1_000n;
      if (text.length === US_DIGITS) return count;
      return invalid(
        column,
        value,
        `which has neither ${MS_DIGITS} digits (milliseconds) nor ${US_DIGITS} (microseconds)`,
      );
  }
}

function invalid(column: string, value: unknown, why: string): Rejection {
  return { code: "time_invalid", message: `${column} is ${showValue(value)}, ${why}.` };
}

function tooPrecise(column: string, value: unknown): Rejection {
  const message = `${column} is ${showValue(value)} nanoseconds, which is finer than a microsecond.`;
  return { code: "time_too_precise", message };
}
