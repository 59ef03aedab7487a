/**
 * Ingestion in the service: one coordinator with spool and dead letters, opened when the service is up, and tried again
 * while its folder cannot be used. Rows are accepted while the spool accepts them, also without a database; producers
 * wait while the database is slow, and are sent away when the spool is nearly full.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { DatasetName } from "../datasets/registry.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import type { FeedbackBus } from "../feedback/feedback-bus.ts";
import { backoffMs } from "../resilience/backoff.ts";
import { withDeadline } from "../resilience/with-deadline.ts";
import { youngHeapBound } from "../resilience/young-heap.ts";
import { canWriteTo } from "./can-write-to.ts";
import type { ComponentReport, HealthProbe } from "./health-monitor.ts";
import type { IngestOptions, OpenIngest } from "./open-ingest.ts";

/** The service is ready by then: what ingestion loads must not make its start slower. */
const OPEN_AFTER_MS = 250;
/** A folder that another process gives up, as at a restart, is taken soon. */
const RETRY = { initialMs: 250, maxMs: 2_000, multiplier: 2, jitter: true };
/** Of the spool's bytes. From there on producers are sent away, so that the rows under way find room. */
const SPOOL_HIGH_WATERMARK = 0.8;
/** A producer waits for a slow database, or for a spool that is being opened, at most so long. */
const MAX_WAIT_MS = 10_000;
/** What subscribers get to hear of the end. */
const FEEDBACK_MS = 500;
/** Each may hold two pieces of rows in memory. */
const MAX_BODIES = 128;

/** One body whose rows are accepted; `end` must be called. */
export interface BodyAdmission {
  /**
   * Resolves when all rows are durable in the spool.
   * @throws StoreError whose `details.accepted` says how many, from the first, are.
   */
  submit(rows: readonly unknown[]): Promise<void>;
  /** Aborted with a StoreError when no more of the body should be read. */
  readonly signal: AbortSignal;
  end(): void;
}

export class ServiceIngest {
  /** Tells producers how hard they may push; undefined when that is switched off. */
  readonly feedback: FeedbackBus | undefined;
  readonly #options: IngestOptions;
  readonly #ending = new AbortController();
  /** Aborted when no body is taken any more. */
  readonly #refusing = new AbortController();
  readonly #wanted = Promise.withResolvers<void>();
  readonly #tried = Promise.withResolvers<void>();
  readonly #waiting = new Set<AbortController>();
  readonly #boundYoungHeap = youngHeapBound();
  #opening: Promise<void> | undefined;
  #open: OpenIngest | undefined;
  #fault: StoreError | undefined;
  #bodies = 0;

  constructor(options: IngestOptions) {
    this.#options = options;
    this.feedback = options.feedback;
    options.spoolMetrics.watchSpool(() => this.#open!.spool);
  }

  /** Opens the spool a moment later, or with the first request; what it holds is then stored. */
  start(): void {
    this.#opening ??= this.#keepOpening();
  }

  /** @throws StoreError `shutting_down`, `spool_unavailable`, `queue_full`. */
  async admit(dataset: DatasetName, tenantId: string): Promise<BodyAdmission> {
    this.#wanted.resolve();
    if (this.#open === undefined && this.#fault === undefined) {
      await withDeadline(MAX_WAIT_MS, () => this.#tried.promise).catch(() => undefined);
    }
    this.#refuseIfNeeded();
    if (this.#bodies >= MAX_BODIES)
      throw new StoreError("queue_full", "Too many bodies are being read; send it later.");
    this.#bodies++;
    return {
      submit: (rows) => this.#submit(dataset, tenantId, rows),
      signal: this.#refusing.signal,
      end: () => {
        this.#bodies--;
      },
    };
  }

  /** Healthy while rows are accepted. */
  get probe(): HealthProbe {
    return { name: "spool", neededForReady: false, neededForIngest: true, check: () => this.#report() };
  }

  /** Bodies under way end with what is accepted of them; new ones are refused. */
  beginStopping(): void {
    this.#refusing.abort(stopping());
    for (const waiting of this.#waiting) waiting.abort(stopping());
  }

  /** Stores what it can within the time; the rest stays in the spool. Never throws. */
  async stop({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    this.beginStopping();
    this.#ending.abort();
    this.#wanted.resolve();
    await this.#opening;
    await this.#open?.stop(timeoutMs);
    await withDeadline(FEEDBACK_MS, async () => this.feedback?.drained()).catch(() => undefined);
    this.#options.onStopped();
  }

  async #keepOpening(): Promise<void> {
    const { signal } = this.#ending;
    await Promise.race([sleep(OPEN_AFTER_MS, undefined, { signal }).catch(() => undefined), this.#wanted.promise]);
    for (let attempt = 1; !signal.aborted; attempt++) {
      if (await this.#tryOpening()) return;
      await sleep(backoffMs(RETRY, Math.min(attempt, 10), Math.random), undefined, { signal }).catch(() => undefined);
    }
    this.#tried.resolve();
  }

  async #tryOpening(): Promise<boolean> {
    const { log } = this.#options;
    try {
      const { openIngest } = await import("./open-ingest.ts");
      this.#open = await openIngest(this.#options);
      if (this.#fault !== undefined) log.info("Rows are accepted now: the spool could be opened.");
      this.#fault = undefined;
      return true;
    } catch (cause) {
      const fault = cause instanceof StoreError ? cause : new StoreError("internal", messageOf(cause), { cause });
      if (fault.code !== this.#fault?.code) log.error({ err: fault }, "Rows are not accepted; it is tried again.");
      this.#fault = fault;
      return false;
    } finally {
      this.#tried.resolve();
    }
  }

  async #submit(dataset: DatasetName, tenantId: string, rows: readonly unknown[]): Promise<void> {
    this.#refuseIfNeeded();
    this.#boundYoungHeap();
    const waiting = new AbortController();
    const timer = setTimeout(() => waiting.abort(tooSlow()), MAX_WAIT_MS);
    this.#waiting.add(waiting);
    try {
      await this.#open!.coordinator.submitMany(dataset, rows, { tenantId, signal: waiting.signal });
    } catch (error) {
      throw this.#answerTo(error, waiting.signal);
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(waiting);
    }
  }

  /** What a producer is told, without the names of folders. */
  #answerTo(cause: unknown, signal: AbortSignal): StoreError {
    if (!(cause instanceof StoreError)) return new StoreError("internal", messageOf(cause), { cause });
    const { accepted } = cause.details;
    const isLate = signal.aborted && !this.#refusing.signal.aborted;
    const spoolFails = cause.code === "spool_unavailable" || cause.code === "spool_full";
    const told = spoolFails || (isLate && this.#open?.spool.fault !== undefined) ? unavailable() : undefined;
    const known = told ?? (signal.aborted ? (signal.reason as StoreError) : cause);
    return new StoreError(known.code, known.message, { cause, details: { accepted } });
  }

  #refuseIfNeeded(): void {
    if (this.#refusing.signal.aborted) throw stopping();
    if (this.#open === undefined) throw unavailable(this.#fault);
    if (this.#isNearlyFull) throw tooSlow();
  }

  get #isNearlyFull(): boolean {
    const { spool } = this.#open!;
    return spool.bytes >= spool.maxBytes * SPOOL_HIGH_WATERMARK;
  }

  async #report(): Promise<ComponentReport> {
    if (this.#open === undefined) {
      if (this.#fault === undefined) return { state: "healthy", details: { reason: "opening" } };
      return { state: "unhealthy", details: { code: this.#fault.code } };
    }
    const { spool, coordinator } = this.#open;
    const details = { records: String(spool.depth), used: `${Math.round((100 * spool.bytes) / spool.maxBytes)} %` };
    // An append that succeeds ends a fault, but while none is sent here nobody tries one.
    if (spool.fault !== undefined && !(await canWriteTo(this.#options.spool.folder))) {
      return { state: "unhealthy", details: { ...details, code: "spool_unavailable" } };
    }
    if (!this.#isNearlyFull) return { state: "healthy", details };
    const isAway = coordinator.health().circuit !== "closed";
    return { state: isAway ? "unhealthy" : "degraded", details: { ...details, code: "spool_full" } };
  }
}

function stopping(): StoreError {
  return new StoreError("shutting_down", "The service is stopping; send the rest to another one, or later.");
}

function tooSlow(): StoreError {
  return new StoreError("queue_full", "The database takes rows more slowly than they come; go on a little later.");
}

function unavailable(cause?: unknown): StoreError {
  return new StoreError("spool_unavailable", "The service cannot keep rows just now; its health and log say why.", {
    cause,
  });
}
