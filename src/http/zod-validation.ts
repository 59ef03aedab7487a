/**
 * Lets routes declare zod schemas: `schema: { body: z.object({…}) }`. A bad body is answered 422 with the path of each
 * wrong field; the handler gets the parsed value. Answers are written by JSON.stringify. Takes the place of the
 * framework's own validator and serialiser, which are then never loaded.
 */
import type { FastifySchemaCompiler, FastifySerializerCompiler, FastifyServerOptions } from "fastify";
import type { z } from "zod";
import { StoreError } from "../errors/store-error.ts";

/** More wrong fields than this help nobody. */
const MAX_REPORTED_FIELDS = 100;

const validatorCompiler: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart }) => {
  return (data: unknown) => {
    const result = schema.safeParse(data);
    return result.success ? { value: result.data } : { error: invalid(httpPart ?? "request", result.error.issues) };
  };
};

/**
 * The part of a request as its schema has it, for routes that load their schemas when they are first used.
 *
 * @throws StoreError `body_invalid`, or `request_invalid` for any other part, with the path of each wrong field.
 */
export function parsePart<Schema extends z.ZodType>(part: string, schema: Schema, data: unknown): z.output<Schema> {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  throw invalid(part, result.error.issues);
}

const serializerCompiler: FastifySerializerCompiler<unknown> = () => JSON.stringify;

/** For the framework's option `schemaController`. */
export const ZOD_SCHEMAS = {
  compilersFactory: { buildValidator: () => validatorCompiler, buildSerializer: () => serializerCompiler },
  // The framework's type knows its own two compilers only.
} as unknown as NonNullable<FastifyServerOptions["schemaController"]>;

/** What people call the parts of a request. */
const PART_NAMES: Readonly<Record<string, string>> = { params: "path", querystring: "query" };

function invalid(part: string, issues: readonly z.core.$ZodIssue[]): StoreError {
  const errors = issues
    .slice(0, MAX_REPORTED_FIELDS)
    .map(({ path, message }) => ({ path: path.map(String).join("."), message }));
  const first = errors[0]!;
  const name = PART_NAMES[part] ?? part;
  const where = first.path === "" ? `The ${name}` : `The ${name}'s field ${first.path}`;
  const message = `${where} is not valid: ${first.message.replace(/\.$/, "")}.`;
  return new StoreError(part === "body" ? "body_invalid" : "request_invalid", message, { details: { errors } });
}
