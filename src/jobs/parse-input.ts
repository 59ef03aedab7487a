/** Checks what a job is asked for by the job's own schema. */
import type { z } from "zod";
import { StoreError } from "../errors/store-error.ts";
import { type JobDefinition, schemaOf } from "./define-job.ts";

/** More wrong fields than this help nobody. */
const MAX_REPORTED_FIELDS = 100;

/**
 * The input with the schema's defaults.
 *
 * @throws StoreError `body_invalid` with the path of each wrong field.
 */
export async function parseInput(definition: JobDefinition, input: unknown): Promise<unknown> {
  if (definition.defaults !== undefined && isEmpty(input)) return definition.defaults;
  const result = await (await schemaOf(definition)).safeParseAsync(input);
  if (result.success) return result.data;
  throw invalid(definition.name, result.error.issues);
}

function isEmpty(input: unknown): boolean {
  return typeof input === "object" && input !== null && !Array.isArray(input) && Object.keys(input).length === 0;
}

function invalid(name: string, issues: readonly z.core.$ZodIssue[]): StoreError {
  const errors = issues
    .slice(0, MAX_REPORTED_FIELDS)
    .map(({ path, message }) => ({ path: path.map(String).join("."), message }));
  const where = errors
    .slice(0, 3)
    .map(({ path, message }) => (path === "" ? message : `${path}: ${message}`))
    .join("; ");
  return new StoreError("body_invalid", `The input of the job ${name} is not valid: ${where}.`, {
    details: { errors },
  });
}
