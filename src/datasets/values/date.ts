/** Calendar dates without a time, such as an option's expiry. Only one spelling is taken: others have no certain order. */
import type { Rejection } from "../dataset.ts";
import { showValue } from "./show-value.ts";

const ISO_DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const FIRST_YEAR = 1900;
const LAST_YEAR = 2200;

/** @returns `YYYY-MM-DD`, or a rejection: `time_invalid`, `time_out_of_range` (years 1900 to 2200). */
export function parseDate(column: string, value: unknown): string | Rejection {
  const parts = typeof value === "string" ? ISO_DATE.exec(value.trim()) : null;
  if (parts === null) return invalid(column, value);
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  const date = new Date(Date.UTC(year, month - 1, day));
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return invalid(column, value);
  if (year < FIRST_YEAR || year > LAST_YEAR) {
    return {
      code: "time_out_of_range",
      message: `${column} is ${showValue(value)}, which is outside the years ${FIRST_YEAR} to ${LAST_YEAR}.`,
    };
  }
  return parts[0];
}

function invalid(column: string, value: unknown): Rejection {
  return {
    code: "time_invalid",
    message: `${column} is ${showValue(value)}, which is no date of the form YYYY-MM-DD.`,
  };
}
