/**
 * Idempotency keys: whoever asks for the same thing under the same key within 24 hours gets the job that was made for
 * the first. A key is claimed before the job is made, and the job is made under the claimed id, so a crash in between
 * costs nothing.
 */
import { runAsRole } from "./session.ts";
import type { AdminScope } from "./tenants.ts";

/** One use of a key. */
export interface KeyClaim {
  /** Who asks. */
  readonly principal: string;
  /** What is asked for: method and path. */
  readonly route: string;
  /** 1 to 255 visible ASCII characters. */
  readonly key: string;
  /** SHA-256 of the body in canonical form. */
  readonly bodySha256: Buffer;
  /** UUID of the job, should this be the first claim. */
  readonly jobId: string;
}

/** Claims a key; `jobId` is that of the first claim, `isSameBody` tells whether that one asked for the same. */
export async function claimIdempotencyKey(
  scope: AdminScope,
  { principal, route, key, bodySha256, jobId }: KeyClaim,
  signal?: AbortSignal,
): Promise<{ readonly jobId: string; readonly isSameBody: boolean }> {
  const text = `select job_id as "jobId", is_same_body as "isSameBody" from mds.claim_idempotency_key($1, $2, $3, $4, $5)`;
  const values = [principal, route, key, bodySha256, jobId];
  const [claim] = await runAsRole<{ jobId: string; isSameBody: boolean }>(
    { ...scope, role: "mds_admin" },
    { text, values },
    signal,
  );
  return claim!;
}
