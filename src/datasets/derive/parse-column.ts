/** How the values of each type of column are read: the one place where a type's name meets its parser. */
import type { DimensionColumn, Rejection, ValueColumn } from "../dataset.ts";
import { parseDate } from "../values/date.ts";
import { parseFreeText } from "../values/free-text.ts";
import { parseJson } from "../values/json.ts";
import { parseFloat8, parseInt8 } from "../values/number.ts";
import { DECIMAL_PRECISION, DECIMAL_SCALE, parseNumeric } from "../values/numeric.ts";
import { parseOptionType } from "../values/option-type.ts";
import { parseText } from "../values/text.ts";
import { parseTimeframe } from "../values/timeframe.ts";

/** A dimension in its one spelling. */
export function parseDimension(name: string, type: DimensionColumn["type"], value: unknown): string | Rejection {
  switch (type) {
    case "text":
      return parseText(name, value);
    case "timeframe":
      return parseTimeframe(name, value);
    case "date":
      return parseDate(name, value);
    case "option_type":
      return parseOptionType(name, value);
    case "decimal":
      return positive(name, parseNumeric(name, value, DECIMAL_PRECISION, DECIMAL_SCALE));
  }
}

function positive(name: string, parsed: string | Rejection): string | Rejection {
  if (typeof parsed === "object" || (parsed !== "0" && !parsed.startsWith("-"))) return parsed;
  return outOfRange(`${name} is ${parsed}, which is not above 0.`);
}

/** A value as it is kept in memory: a number, a bigint, or text for all other types. */
export function parseValue(column: ValueColumn, value: unknown): number | bigint | string | Rejection {
  const { name, type } = column;
  switch (type) {
    case "float8":
      return withinBounds(column, parseFloat8(name, value));
    case "int8":
      return withinBounds(column, parseInt8(name, value));
    case "numeric":
      return parseNumeric(name, value, column.precision!, column.scale!);
    case "text":
      return parseFreeText(name, value, column.maxCharacters!);
    case "json":
      return parseJson(name, value);
  }
}

function withinBounds(column: ValueColumn, parsed: number | bigint | Rejection): number | bigint | Rejection {
  if (typeof parsed === "object") return parsed;
  const { name, min, max } = column;
  if (min !== undefined && parsed < min) return outOfRange(`${name} is ${parsed}, which is below ${min}.`);
  if (max !== undefined && parsed > max) return outOfRange(`${name} is ${parsed}, which is above ${max}.`);
  return parsed;
}

function outOfRange(message: string): Rejection {
  return { code: "number_out_of_range", message };
}
