/**
 * `POST /v1/{dataset}`: rows in. A body is read as it arrives and accepted as a contiguous prefix; every answer says up to
 * which line, and which rows were rejected. 202 means that all of it is durable.
 */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { DATASET_NAMES, type DatasetName, datasetNamed } from "../../datasets/registry.ts";
import { StoreError } from "../../errors/store-error.ts";
import { readBody } from "../../files/read-body.ts";
import { asStoreError } from "../../http/problem.ts";
import { refuseUnknownQuery } from "../../http/refuse-unknown-query.ts";
import { sendProblem } from "../../http/send-problem.ts";
import { lingerOver, readBytes, refuseLargeBody } from "../../http/unfinished-body.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { StoreMetrics } from "../../telemetry/metrics.ts";
import type { IngestGuard } from "../ingest-guard.ts";
import { type Acceptance, nothingAccepted, RowIntake } from "../row-intake.ts";
import type { BodyAdmission, ServiceIngest } from "../service-ingest.ts";

interface IngestParts {
  readonly ingest: Pick<ServiceIngest, "admit"> | undefined;
  readonly metrics: Pick<StoreMetrics, "countRows">;
  readonly log: Pick<Logger, "error">;
}

/** Of a body as it is sent, compressed or not. */
const BODY_LIMIT_BYTES = 67_108_864;
/** What may be named; which of them a body is is told by its bytes. */
const ENCODINGS = new Set(["", "identity", "gzip", "x-gzip", "zstd"]);
const RETRY_AFTER_SECONDS = 5;

/** Adds the route. */
export function addIngestRoutes(app: FastifyInstance, guard: IngestGuard, parts: IngestParts): void {
  const acceptances = new WeakMap<FastifyRequest, Acceptance>();
  app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    // Whatever type is named: the body is read by its route.
    scope.addContentTypeParser("*", (_request, _payload, parsed) => parsed(null));
    scope.setErrorHandler((thrown, request, reply) => {
      const error = asStoreError(thrown);
      if (error.status === 500)
        parts.log.error({ err: thrown, endpoint: request.routeOptions.url }, "A request failed.");
      if (error.status === 503 && !reply.hasHeader("retry-after")) reply.header("retry-after", RETRY_AFTER_SECONDS);
      // What follows on the connection would be taken for a request.
      if (error.code === "body_incomplete") reply.header("connection", "close");
      lingerOver(request.raw);
      return sendProblem(reply, error, { ...(acceptances.get(request) ?? nothingAccepted()) });
    });
    scope.post<{ Params: { dataset: string } }>("/v1/:dataset", async (request, reply) => {
      const tenantId = await guard(request, reply);
      refuseUnknownQuery(request.query);
      const dataset = datasetOf(request.params.dataset);
      refuseLargeBody(request.raw, BODY_LIMIT_BYTES);
      refuseEncoding(request.headers["content-encoding"]);
      const admission = await admit(parts, dataset, tenantId);
      try {
        const intake = new RowIntake({ dataset: datasetNamed(dataset), submit: (rows) => admission.submit(rows) });
        acceptances.set(request, intake.acceptance);
        const bytes = readBytes(request.raw, BODY_LIMIT_BYTES, admission.signal);
        await takeBody(bytes, intake, dataset, parts);
        reply.code(202);
        return intake.acceptance;
      } finally {
        admission.end();
      }
    });
    done();
  });
}

function datasetOf(name: string): DatasetName {
  if (DATASET_NAMES.includes(name as DatasetName)) return name as DatasetName;
  throw new StoreError("not_found", `There is no dataset of this name; there are ${DATASET_NAMES.join(", ")}.`);
}

function refuseEncoding(named = ""): void {
  if (ENCODINGS.has(named.trim().toLowerCase())) return;
  throw new StoreError("media_type_unsupported", "This route reads plain bodies and those compressed by gzip or zstd.");
}

async function admit({ ingest }: IngestParts, dataset: DatasetName, tenantId: string): Promise<BodyAdmission> {
  if (ingest === undefined) throw new StoreError("spool_unavailable", "This service runs without ingestion.");
  return ingest.admit(dataset, tenantId);
}

async function takeBody(
  bytes: AsyncIterable<Buffer>,
  intake: RowIntake,
  dataset: DatasetName,
  { metrics }: IngestParts,
): Promise<void> {
  const { rejected } = intake.acceptance;
  try {
    await intake.takeAll(readBody(bytes, datasetNamed(dataset)));
  } finally {
    if (rejected.count > 0) metrics.countRows(dataset, "rejected", rejected.count);
  }
  if (rejected.count > 0 && intake.acceptedRows === 0) {
    throw new StoreError("rows_rejected", "No row of the body can be stored; rejected says why.");
  }
}
