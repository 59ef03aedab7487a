/**
 * The OpenAPI 3.1 document, made of the endpoints and the zod schemas that the routes check with. Every endpoint is in
 * it, with who may call it, what it takes and answers, and every error code that it may answer with.
 */
import { z } from "zod";
import { type Endpoint, errorsOf } from "../control/endpoint.ts";
import { ENDPOINTS } from "../control/endpoints.ts";
import { SCHEMAS } from "../control/schemas.ts";
import { ERROR_CODES, type ErrorCode } from "../errors/codes.ts";
import { PROBLEM_CONTENT_TYPE } from "../http/problem.ts";
import { type JobDefinition, schemaOf } from "../jobs/define-job.ts";

type JsonSchema = z.core.JSONSchema.BaseSchema;
interface Content {
  readonly [mediaType: string]: { readonly schema: JsonSchema };
}
interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required: boolean;
  readonly description?: string;
  readonly schema: JsonSchema;
}
interface ResponseObject {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly schema: JsonSchema }>>;
  readonly content?: Content;
}

/** One operation of the document. */
export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, ResponseObject>>;
}

/** The document, as far as it is read here. */
export interface OpenApiDocument {
  readonly openapi: "3.1.0";
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly securitySchemes: Readonly<Record<string, unknown>>;
  };
}

const DESCRIPTION =
  "The HTTP API of market-data-store. Errors are problem details (RFC 9457) with a stable `code`. Unknown fields of " +
  "answers are to be ignored; those of requests are refused.";

const JSON_TYPE = "application/json";
const NDJSON_TYPE = "application/x-ndjson";
const TARGET: z.core.ToJSONSchemaParams = {
  target: "draft-2020-12",
  io: "input",
  unrepresentable: "any",
  // The format says the same in one word.
  override: ({ jsonSchema }) => {
    if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
  },
};

const IDEMPOTENCY_KEY: Parameter = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "The same request with the same key gets the same job for 24 hours.",
  schema: { type: "string", pattern: "^[!-~]{1,255}$" },
};

/** Makes the document. `definitions` are the jobs that this service knows. */
export async function openApiDocument(options: {
  readonly version: string;
  readonly definitions: readonly JobDefinition[];
}): Promise<OpenApiDocument> {
  const backfill = await backfillSchema(options.definitions.filter(({ mode }) => mode === "backfill"));
  const endpoints: readonly (readonly [string, Endpoint])[] = Object.entries(ENDPOINTS);
  const schemas = jsonSchemas();
  const paths: Record<string, Record<string, Operation>> = {};
  for (const [id, endpoint] of endpoints) {
    const parameters = parametersOf(endpoint, schemas);
    paths[endpoint.path] ??= {};
    paths[endpoint.path]![endpoint.method.toLowerCase()] = operationOf(id, endpoint, parameters, backfill);
  }
  const inParameters = new Set<string | undefined>(endpoints.flatMap(([, { params, query }]) => [params, query]));
  return {
    openapi: "3.1.0",
    info: { title: "market-data-store", version: options.version, description: DESCRIPTION },
    tags: [...new Set(endpoints.map(([, { tag }]) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).filter(([name]) => !inParameters.has(name))),
      securitySchemes: {
        admin: { type: "http", scheme: "bearer", description: "The token of the setting ADMIN_TOKEN." },
        ingest: { type: "http", scheme: "bearer", description: "An ingest token, which names the tenant." },
      },
    },
  };
}

function operationOf(
  operationId: string,
  endpoint: Endpoint,
  parameters: readonly Parameter[],
  backfill: JsonSchema,
): Operation {
  const { tag, summary, description, auth, body, isBodyOptional = false } = endpoint;
  return {
    operationId,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    security: auth === "none" ? [] : [{ [auth]: [] }],
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: { required: !isBodyOptional, content: contentOf(body, backfill) } }),
    responses: { ...successes(endpoint), ...failures(endpoint) },
  };
}

function contentOf(body: NonNullable<Endpoint["body"]>, backfill: JsonSchema): Content {
  if (body === "backfill") return { [JSON_TYPE]: { schema: backfill } };
  if (body !== "rows") return { [JSON_TYPE]: { schema: refTo(body) } };
  const rows: JsonSchema = { type: "array", items: { type: "object" } };
  return { [NDJSON_TYPE]: { schema: { type: "string" } }, [JSON_TYPE]: { schema: rows } };
}

/** Parameters are written out where they are used; everything else is a component. */
function parametersOf({ params, query, makesJob }: Endpoint, schemas: ReturnType<typeof jsonSchemas>): Parameter[] {
  const inPlace = (name: string | undefined, place: "path" | "query"): Parameter[] => {
    const { properties = {}, required = [] } = (schemas[name ?? ""] ?? {}) as {
      properties?: Readonly<Record<string, JsonSchema>>;
      required?: readonly string[];
    };
    return Object.entries(properties).map(([parameter, { description, ...schema }]) => ({
      name: parameter,
      in: place,
      required: required.includes(parameter),
      ...(description !== undefined && { description }),
      schema,
    }));
  };
  return [...inPlace(params, "path"), ...inPlace(query, "query"), ...(makesJob ? [IDEMPOTENCY_KEY] : [])];
}

async function backfillSchema(backfills: readonly JobDefinition[]): Promise<JsonSchema> {
  if (backfills.length === 0) return { type: "object" };
  return {
    anyOf: await Promise.all(
      backfills.map(async (definition) => ({
        ...plain(z.toJSONSchema(await schemaOf(definition), TARGET)),
        title: definition.name,
        description: definition.description,
      })),
    ),
  };
}

function successes({ answers, makesJob }: Endpoint): Record<string, ResponseObject> {
  const headers = {
    Location: { description: "Where the job can be followed.", schema: { type: "string" } as JsonSchema },
  };
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, schema, mediaType }]) => {
      const type = mediaType ?? (schema && JSON_TYPE);
      const shape: JsonSchema = schema ? refTo(schema) : { type: type === JSON_TYPE ? "object" : "string" };
      const content: Content | undefined = type === undefined ? undefined : { [type]: { schema: shape } };
      return [status, { description, ...(makesJob && { headers }), ...(content && { content }) }];
    }),
  );
}

/** One answer a status, which names its codes. Where a status is also an answer, that one stays. */
function failures(endpoint: Endpoint): Record<string, ResponseObject> {
  const codes = Map.groupBy(errorsOf(endpoint), (code) => ERROR_CODES[code].status);
  const statuses = [...codes].filter(([status]) => endpoint.answers[status] === undefined);
  return Object.fromEntries(statuses.map(([status, list]) => [String(status), failure(status, list, endpoint)]));
}

function failure(status: number, codes: readonly ErrorCode[], { problem = "Problem" }: Endpoint): ResponseObject {
  const header = (description: string) => ({ description, schema: { type: "string" } as JsonSchema });
  return {
    description: `Code ${codes.map((code) => `\`${code}\``).join(" or ")}.`,
    ...(status === 401 && { headers: { "WWW-Authenticate": header("The scheme Bearer.") } }),
    ...(status === 429 && { headers: { "Retry-After": header("Seconds.") } }),
    content: {
      [PROBLEM_CONTENT_TYPE]: {
        schema: { allOf: [refTo(problem)], properties: { code: { enum: [...codes] } } } as JsonSchema,
      },
    },
  };
}

const pathOf = (name: string): string => `#/components/schemas/${name}`;
const refTo = (name: keyof typeof SCHEMAS): JsonSchema => ({ $ref: pathOf(name) });

/** Every schema by its name; one inside another is referred to. All as they are written: answers may gain fields. */
function jsonSchemas(): Readonly<Record<string, JsonSchema>> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(SCHEMAS)) registry.add(schema as z.ZodType, { id });
  const { schemas } = z.toJSONSchema(registry, { ...TARGET, uri: pathOf });
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, plain(schema)]));
}

/** Without what only a document of its own needs. */
function plain(schema: JsonSchema): JsonSchema {
  const { $schema: _dialect, $id: _id, ...rest } = schema;
  return rest;
}
