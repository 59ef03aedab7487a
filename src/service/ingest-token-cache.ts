/**
 * Whose an ingest token is, without asking the database for every request. What was found is believed for 30 s, so a
 * token that is revoked is refused everywhere after that. While the database is away, what it said last is believed on,
 * for an hour at most (docs/decisions/ingest-http.md). Tokens are kept as hashes; memory is bounded; requests with one
 * token at the same time share one look-up.
 */
import { createHash } from "node:crypto";
import { isIngestToken } from "../database/ingest-tokens.ts";
import { StoreError } from "../errors/store-error.ts";
import { withDeadline } from "../resilience/with-deadline.ts";
import { isAway } from "./database-away.ts";

/** How long a token that was found is believed. */
const FOUND_MS = 30_000;
/** A token may be used a moment after it was made, so what was not found is asked for again soon. */
const NOT_FOUND_MS = 2_000;
/** How long a token that was found is believed while the database cannot be asked: as long as an outage may be. */
const FOUND_WHILE_AWAY_MS = 3_600_000;
/** A database that is away is not asked for every request. */
const AWAY_MS = 2_000;
/** Far more than there are tokens in use; a stranger with many tokens pushes out the oldest. */
const MAX_ENTRIES = 10_000;
const LOOK_UP_DEADLINE_MS = 5_000;

interface Entry {
  readonly tenantId: string | undefined;
  /** When the database is asked again. */
  readonly endsAt: number;
  /** Until when this holds if it does not answer then. */
  readonly endsAwayAt: number;
}

interface IngestTokenCacheOptions {
  /** Asks the database: the tenant's id, or undefined for a token that is not valid. */
  readonly lookUp: (token: string, signal: AbortSignal) => Promise<string | undefined>;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

export class IngestTokenCache {
  readonly #entries = new Map<string, Entry>();
  readonly #asking = new Map<string, Promise<string | undefined>>();
  readonly #lookUp: IngestTokenCacheOptions["lookUp"];
  readonly #now: () => number;

  constructor({ lookUp, now = () => performance.now() }: IngestTokenCacheOptions) {
    this.#lookUp = lookUp;
    this.#now = now;
  }

  /**
   * The id of the tenant whose token this is; undefined for one that is not valid.
   *
   * @param signal - Ends the waiting, not the look-up, which others may share.
   * @throws StoreError what the look-up throws, `deadline_exceeded`, `aborted`. A fault is not kept.
   */
  async tenantOf(token: string, signal?: AbortSignal): Promise<string | undefined> {
    if (!isIngestToken(token)) return undefined;
    const hash = createHash("sha256").update(token).digest("base64");
    const entry = this.#entries.get(hash);
    if (entry !== undefined && entry.endsAt > this.#now()) return entry.tenantId;
    let asking = this.#asking.get(hash);
    if (asking === undefined) {
      asking = this.#ask(token, hash).finally(() => this.#asking.delete(hash));
      this.#asking.set(hash, asking);
    }
    return signal === undefined ? asking : untilAborted(asking, signal);
  }

  async #ask(token: string, hash: string): Promise<string | undefined> {
    // The time of asking counts: what is answered late is not believed for longer.
    const askedAt = this.#now();
    try {
      const tenantId = await withDeadline(LOOK_UP_DEADLINE_MS, (signal) => this.#lookUp(token, signal));
      const isFound = tenantId !== undefined;
      const endsAt = askedAt + (isFound ? FOUND_MS : NOT_FOUND_MS);
      this.#keep(hash, { tenantId, endsAt, endsAwayAt: askedAt + (isFound ? FOUND_WHILE_AWAY_MS : 0) });
      return tenantId;
    } catch (error) {
      const known = this.#entries.get(hash);
      if (known === undefined || known.endsAwayAt <= this.#now() || !isAway(error)) throw error;
      this.#keep(hash, { ...known, endsAt: this.#now() + AWAY_MS });
      return known.tenantId;
    }
  }

  #keep(hash: string, entry: Entry): void {
    this.#entries.delete(hash);
    this.#entries.set(hash, entry);
    if (this.#entries.size > MAX_ENTRIES) this.#entries.delete(this.#entries.keys().next().value!);
  }
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const stop = (): void =>
    aborted.reject(new StoreError("aborted", "The call was stopped by its caller.", { cause: signal.reason }));
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
