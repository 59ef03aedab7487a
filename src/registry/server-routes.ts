/** The routes of the schema registry: tracks of schemas, each with all its versions, and what a monitor asks. */
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from "fastify";
import { z } from "zod";
import type { HealthStatus } from "../contracts/health-status.ts";
import { StoreError } from "../errors/store-error.ts";
import type { RegistryMetrics } from "../telemetry/registry-metrics.ts";
import { checkJsonSchema } from "./json-schema-check.ts";
import { publishSchema } from "./publish-schema.ts";
import { PUBLISH_COMPATIBILITIES } from "./schema-change.ts";
import type { SchemaVersionFacts, SchemaVersions } from "./schema-versions.ts";

const track = z.string().regex(/^v[1-9]\d{0,2}$/, "must be a track such as v1");
/** A name may come with the ending that its file has. */
const name = z
  .string()
  .transform((text) => text.replace(/\.schema$/, ""))
  .pipe(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, "must be letters, digits, dots, - and _"));
const trackParams = z.object({ track });
const schemaParams = z.object({ track, name });
const fetchQuery = z.object({ version: z.coerce.number().int().min(1).max(2_147_483_647).optional() });
const publishQuery = z.object({ compatibility: z.enum(PUBLISH_COMPATIBILITIES).default("backward") });

interface RegistryRoutesOptions {
  readonly versions: SchemaVersions;
  readonly metrics: RegistryMetrics;
  /** Lets those through who may publish. */
  readonly guard: onRequestHookHandler;
  readonly health: () => Promise<HealthStatus>;
}

/** Adds the routes. */
export function addRegistryRoutes(
  app: FastifyInstance,
  { versions, metrics, guard, health }: RegistryRoutesOptions,
): void {
  app.get("/health", async (_request, reply) => {
    const status = await health();
    return reply.code(status.state === "unhealthy" ? 503 : 200).send(status);
  });
  app.get("/metrics", async (_request, reply) =>
    reply.header("content-type", metrics.contentType).send(await metrics.render()),
  );
  app.get("/index", async () => {
    const newest = await versions.newest();
    const tracks = [...new Set(newest.map((one) => one.track))];
    return { tracks: tracks.map((each) => ({ track: each, schemas: listOf(newest, each) })) };
  });
  app.get("/schemas/:track", { schema: { params: trackParams } }, async (request) => {
    const { track: wanted } = request.params as z.output<typeof trackParams>;
    return { track: wanted, schemas: listOf(await versions.newest(), wanted) };
  });
  app.get("/schemas/:track/:name", { schema: { params: schemaParams, querystring: fetchQuery } }, (request, reply) =>
    sendSchema(versions, request, reply),
  );
  app.put(
    "/schemas/:track/:name",
    { onRequest: guard, schema: { params: schemaParams, querystring: publishQuery } },
    async (request, reply) => {
      const { facts, created } = await publish(versions, metrics, request);
      return reply
        .code(created ? 201 : 200)
        .header("etag", etagOf(facts))
        .send(facts);
    },
  );
}

function listOf(newest: readonly SchemaVersionFacts[], wanted: string): object[] {
  return newest
    .filter((one) => one.track === wanted)
    .map(({ name: each, version, sha256, updated_at }) => ({ name: each, version, sha256, updated_at }));
}

async function sendSchema(
  versions: SchemaVersions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const params = request.params as z.output<typeof schemaParams>;
  const { version } = request.query as z.output<typeof fetchQuery>;
  const found = await versions.find(params.track, params.name, version);
  if (found === undefined) {
    const what = version === undefined ? params.name : `version ${version} of ${params.name}`;
    throw new StoreError("schema_not_found", `Track ${params.track} has no ${what}.`);
  }
  const etag = etagOf(found);
  reply.header("etag", etag).header("cache-control", "no-cache");
  if (isKnown(request.headers["if-none-match"], etag)) return reply.code(304).send();
  return reply.send({ ...found, content: JSON.parse(found.content) as unknown });
}

/** A version is never changed, so its number and hash name its bytes. */
function etagOf({ version, sha256 }: SchemaVersionFacts): string {
  return `"${version}-${sha256}"`;
}

function isKnown(header: string | undefined, etag: string): boolean {
  const known = header?.split(",").map((each) => each.trim().replace(/^W\//, "")) ?? [];
  return known.includes(etag) || known.includes("*");
}

async function publish(
  versions: SchemaVersions,
  metrics: RegistryMetrics,
  request: FastifyRequest,
): ReturnType<typeof publishSchema> {
  const params = request.params as z.output<typeof schemaParams>;
  const { compatibility } = request.query as z.output<typeof publishQuery>;
  try {
    const content = checkJsonSchema(request.body);
    const result = await publishSchema(versions, { ...params, content, compatibility });
    metrics.countPublished(result.created ? "created" : "unchanged");
    return result;
  } catch (error) {
    const code = error instanceof StoreError ? error.code : undefined;
    if (code === "schema_invalid") metrics.countPublished("invalid");
    if (code === "schema_incompatible") metrics.countPublished("incompatible");
    throw error;
  }
}
