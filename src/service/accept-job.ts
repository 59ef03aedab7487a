/**
 * Accepts a job over HTTP: 202 with where it can be followed. The same request under the same `Idempotency-Key` gets the
 * same job: the key is claimed with an id, and the job is made under that id, which makes no second one.
 */
import { createHash, randomUUID } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { canonicalJson } from "../client/config-fingerprint.ts";
import type { AcceptedJob } from "../contracts/job.ts";
import { claimIdempotencyKey } from "../database/idempotency-keys.ts";
import type { JsonObject } from "../datasets/dataset.ts";
import { StoreError } from "../errors/store-error.ts";
import type { JobQueue } from "../jobs/job-queue.ts";
import type { ServiceDatabase } from "./service-database.ts";

/** What the admin routes work with. */
export interface AdminParts {
  readonly database: Pick<ServiceDatabase, "admin">;
  /** @throws StoreError `jobs_unavailable` while there is none. */
  readonly jobs: () => JobQueue;
}

interface Asked {
  readonly request: Pick<FastifyRequest, "method" | "url" | "headers" | "body">;
  readonly reply: FastifyReply;
  readonly signal: AbortSignal;
}

/** All who have the admin token are one. */
const PRINCIPAL = "admin";
const KEY_FORM = /^[!-~]{1,255}$/;

/**
 * The id of the job that this request is to make, or has made before.
 *
 * @throws StoreError `idempotency_key_invalid`, and `idempotency_key_reused` when the key came with another body.
 */
export async function jobIdOf({ database }: AdminParts, { request, signal }: Asked): Promise<string> {
  const key = request.headers["idempotency-key"];
  const jobId = randomUUID();
  if (key === undefined) return jobId;
  if (typeof key !== "string" || !KEY_FORM.test(key)) {
    throw new StoreError("idempotency_key_invalid", "Idempotency-Key must be 1 to 255 visible ASCII characters.");
  }
  const route = `${request.method} ${request.url.split("?", 1)[0]}`;
  const body = canonicalJson({ body: request.body ?? {} } as JsonObject);
  const bodySha256 = createHash("sha256").update(body).digest();
  const claim = await claimIdempotencyKey(
    await database.admin(signal),
    { principal: PRINCIPAL, route, key, bodySha256, jobId },
    signal,
  );
  if (!claim.isSameBody) {
    throw new StoreError(
      "idempotency_key_reused",
      "This Idempotency-Key came with another body within the last 24 hours; use a new key for another request.",
    );
  }
  return claim.jobId;
}

/** Makes the job and answers with it. */
export async function acceptJob(parts: AdminParts, asked: Asked, name: string, input: unknown): Promise<AcceptedJob> {
  const jobs = parts.jobs();
  const id = await jobIdOf(parts, asked);
  await jobs.enqueue(name, input, { id, signal: asked.signal });
  return accepted(asked.reply, id);
}

/** The answer, whose `Location` is set. */
export function accepted(reply: FastifyReply, jobId: string): AcceptedJob {
  const location = locationOf(jobId);
  reply.header("location", location);
  return { status: "accepted", job_id: jobId, location };
}

/** Where a job can be followed. */
export function locationOf(jobId: string): string {
  return `/jobs/${jobId}`;
}
