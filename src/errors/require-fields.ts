/**
 * Checks the objects that callers give: no other names than known ones, since a misspelt option would be a lost one, and
 * in the places of signals and callbacks what can be used as such. Other values are checked where they are used.
 */
import { StoreError } from "./store-error.ts";

/** The names of a type's fields; every one has to be there. */
export function fieldsOf<Fields extends object>(fields: Readonly<Record<keyof Fields, true>>): readonly string[] {
  return Object.keys(fields);
}

/**
 * @param what - Whose fields they are, as the subject of a sentence.
 * @param hidden - Fields that are taken as well, and not spoken of.
 * @throws StoreError `usage`.
 */
export function requireFields(
  what: string,
  given: unknown,
  known: readonly string[],
  hidden: readonly string[] = [],
): void {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw usage(`${what} needs an object with ${known.join(", ")}; it was given ${shown(given)}.`);
  }
  for (const [name, value] of Object.entries(given)) {
    if (!known.includes(name) && !hidden.includes(name)) {
      throw usage(`${what} has no "${name.slice(0, 60)}"; it has ${known.join(", ")}.`);
    }
    if (value === undefined) continue;
    if (name === "signal" && !isSignal(value)) {
      throw usage(`signal is ${shown(value)}; it must be an AbortSignal, such as the signal of an AbortController.`);
    }
    if (/^on[A-Z]/.test(name) && typeof value !== "function") {
      throw usage(`${name} is ${shown(value)}; it must be a function.`);
    }
  }
}

/** One of another realm is good as well. */
function isSignal(value: unknown): boolean {
  return typeof value === "object" && value !== null && "aborted" in value && "addEventListener" in value;
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return Array.isArray(value) ? "an array" : `${typeof value === "object" ? "an" : "a"} ${typeof value}`;
}

function usage(message: string): StoreError {
  return new StoreError("usage", message);
}
