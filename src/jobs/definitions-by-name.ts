/** Checks the names of jobs that are known together. */
import { showValue } from "../datasets/values/show-value.ts";
import { StoreError } from "../errors/store-error.ts";
import type { JobDefinition } from "./define-job.ts";

const NAME = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;
const MAX_NAME_CHARACTERS = 64;

/** @throws StoreError `usage` for a name that is not allowed or is there twice. */
export function definitionsByName(definitions: readonly JobDefinition[]): ReadonlyMap<string, JobDefinition> {
  const known = new Map<string, JobDefinition>();
  for (const definition of definitions) {
    const { name } = definition ?? {};
    if (typeof name !== "string" || !NAME.test(name) || name.length > MAX_NAME_CHARACTERS) {
      const form = `lower-case words joined by hyphens, at most ${MAX_NAME_CHARACTERS} characters`;
      throw new StoreError("usage", `${showValue(name)} is no name of a job; it must be ${form}.`);
    }
    if (known.has(name)) throw new StoreError("usage", `Two jobs have the name "${name}"; give one another name.`);
    known.set(name, definition);
  }
  return known;
}
