/** Call or put. */
import type { Rejection } from "../dataset.ts";
import { showValue } from "./show-value.ts";

const SPELLINGS: ReadonlyMap<string, "C" | "P"> = new Map([
  ["c", "C"],
  ["call", "C"],
  ["p", "P"],
  ["put", "P"],
]);

/** @returns `C` or `P`, or a rejection `field_invalid`. */
export function parseOptionType(column: string, value: unknown): "C" | "P" | Rejection {
  const known = typeof value === "string" ? SPELLINGS.get(value.trim().toLowerCase()) : undefined;
  return known ?? { code: "field_invalid", message: `${column} is ${showValue(value)}, which is neither C nor P.` };
}
