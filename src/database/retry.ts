/**
 * Tries again what may succeed in a moment: conflicts between transactions, lost connections, a full server. Everything
 * that the store writes is idempotent by key, so a transaction whose commit was not heard of may simply be repeated.
 */
import { ExponentialBackoff, handleWhen, retry } from "cockatiel";
import { StoreError } from "../errors/store-error.ts";

/** Enough for a deadlock or a failover's first second; a longer outage is the caller's to wait for. */
const MAX_RETRIES = 3;

const TRANSIENT: ReadonlySet<string> = new Set(["database_conflict", "database_unavailable", "database_overloaded"]);

/**
 * Runs `work` up to four times, with growing pauses; the last error is thrown. An abort ends the waiting.
 * @param maxRetries - 0 for callers that have a way of their own to try again.
 */
export function withRetry<T>(work: () => Promise<T>, signal?: AbortSignal, maxRetries = MAX_RETRIES): Promise<T> {
  if (maxRetries === 0) return work();
  const policy = retry(
    handleWhen((error) => error instanceof StoreError && TRANSIENT.has(error.code)),
    { maxAttempts: maxRetries, backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 1_000 }) },
  );
  return policy.execute(work, signal);
}
