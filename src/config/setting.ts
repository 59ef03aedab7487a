/** What a setting is, and how the texts of settings are read. */

/** One setting. `Value` is what the program gets. */
export interface Setting<Value = unknown> {
  /** Name in the environment and in `.env`. */
  readonly name: string;
  /** From the trimmed, non-empty text to the value; undefined when it is not allowed. */
  readonly read: (text: string) => Value | undefined;
  readonly default: Value;
  /** What the default means, where the value alone does not say it. */
  readonly defaultText?: string;
  /** A secret is never shown; of a URL only its password is hidden. */
  readonly secret: boolean;
  /** What is allowed, as the end of the sentence "Allowed: …". */
  readonly allowed: string;
  readonly meaning: string;
}

/** A setting; not a secret unless it says so. */
export const setting = <Value>(facts: Omit<Setting<Value>, "secret"> & { secret?: boolean }): Setting<Value> => ({
  secret: false,
  ...facts,
});

/** Reads a text of a form. */
export const textLike =
  (pattern: RegExp) =>
  (text: string): string | undefined =>
    pattern.test(text) ? text : undefined;

/** Reads a whole number within bounds. */
export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number | undefined => {
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return number >= min && number <= max ? number : undefined;
  };

/** Reads a decimal number within bounds. */
export const decimalNumber =
  (min: number, max: number) =>
  (text: string): number | undefined => {
    const number = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    return number >= min && number <= max ? number : undefined;
  };

const TRUE = ["true", "1", "yes", "on"];
const FALSE = ["false", "0", "no", "off"];
/** What is allowed where yes or no is asked. */
export const BOOLEAN_ALLOWED = `${TRUE.join(", ")} or ${FALSE.join(", ")}, in any case`;

/** Reads yes or no. */
export function readBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (TRUE.includes(word)) return true;
  return FALSE.includes(word) ? false : undefined;
}
