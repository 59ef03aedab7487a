/**
 * Looks for drift on a timer of its own: sets this process's gauges, has each new difference told once by all services
 * together, and knows how the registry is. Nothing here can fail a start or stop the service; a registry that does not
 * answer is no drift.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { HealthState } from "../contracts/health-status.ts";
import type { SchemaDrift } from "../contracts/schema-drift.ts";
import type { NotedDrift } from "../database/drift-state.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { StoreError } from "../errors/store-error.ts";
import type { DriftMetrics } from "../telemetry/drift-metrics.ts";
import type { Logger } from "../telemetry/logger.ts";
import { compareSchemas, type SchemaComparison } from "./compare-schemas.ts";
import type { LocalSchema } from "./local-schemas.ts";
import type { SchemaRegistry } from "./schema-registry.ts";

const REPO = "market-data-store";
/** After a comparison that could not be finished; doubles up to the longest, and is never longer than the interval. */
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

/** What all services together know. Calls end when their signal is aborted. */
export interface DriftLedger {
  /** True when nobody has noted this difference before. */
  note(drift: NotedDrift, signal: AbortSignal): Promise<boolean>;
  clear(drift: Pick<NotedDrift, "schema_name" | "track" | "local_sha256">, signal: AbortSignal): Promise<void>;
}

interface DriftReporterOptions {
  readonly registry: SchemaRegistry;
  readonly schemas: readonly LocalSchema[];
  readonly track: string;
  /** Version of the store. */
  readonly version: string;
  readonly intervalMs: number;
  readonly metrics: DriftMetrics;
  readonly ledger: DriftLedger;
  /** Told of each difference that is new to all services. */
  readonly onDrift: (drift: SchemaDrift) => void;
  readonly log: Pick<Logger, "info" | "warn" | "debug">;
  /** Waits between comparisons; given by tests. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

const waitOnTheClock = (ms: number, signal: AbortSignal): Promise<unknown> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);

interface DriftHealth {
  readonly state: HealthState;
  readonly details: Readonly<Record<string, string>>;
}

export class DriftReporter {
  readonly #options: DriftReporterOptions;
  readonly #ending = new AbortController();
  /** The registry's hash of each difference that this process has counted, by schema. */
  readonly #counted = new Map<string, string>();
  /** Schemas whose state all services know. */
  readonly #settled = new Set<string>();
  #last: readonly SchemaComparison[] | undefined;
  #fault: ErrorCode | undefined;
  #running: Promise<void> | undefined;

  constructor(options: DriftReporterOptions) {
    this.#options = options;
    options.metrics.setInterval(options.intervalMs / 1_000);
    for (const { name } of options.schemas) options.metrics.begin(options.track, name);
  }

  /** Compares now and from then on at each interval. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends what is under way. */
  async stop(): Promise<void> {
    this.#ending.abort(new StoreError("aborted", "The service is stopping."));
    await this.#running;
  }

  /** Degraded while the registry does not answer, and while a contract breaks with it. */
  health(): DriftHealth {
    const last = this.#last ?? [];
    const names = (wanted: (one: SchemaComparison) => boolean): string[] =>
      last.filter(wanted).map(({ schema }) => schema);
    const drifting = names(({ status }) => status === "drift");
    const breaking = names(({ status, change }) => status === "drift" && change === "breaking");
    const missing = names(({ status }) => status === "missing");
    const details = {
      ...(this.#fault !== undefined && { code: this.#fault }),
      ...(this.#fault === undefined && breaking.length > 0 && { reason: "breaking drift" }),
      track: this.#options.track,
      ...(drifting.length > 0 && { drift: drifting.join(", ") }),
      ...(breaking.length > 0 && { breaking: breaking.join(", ") }),
      ...(missing.length > 0 && { missing: String(missing.length) }),
    };
    if (this.#last === undefined && this.#fault === undefined) {
      return { state: "healthy", details: { ...details, reason: "not compared yet" } };
    }
    return { state: this.#fault !== undefined || breaking.length > 0 ? "degraded" : "healthy", details };
  }

  async #run(): Promise<void> {
    const { intervalMs, wait = waitOnTheClock } = this.#options;
    const { signal } = this.#ending;
    for (let failures = 0; !signal.aborted; ) {
      const isDone = await this.#compare();
      failures = isDone ? 0 : failures + 1;
      const retryMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
      const pauseMs = isDone ? intervalMs : Math.min(intervalMs, retryMs);
      await wait(pauseMs, signal);
    }
  }

  /** True when all was found and all was told. */
  async #compare(): Promise<boolean> {
    const { registry, track, schemas, metrics, log } = this.#options;
    const { signal } = this.#ending;
    try {
      this.#last = await compareSchemas(registry, track, schemas, signal);
    } catch (error) {
      if (signal.aborted) return true;
      metrics.countError();
      const code = error instanceof StoreError ? error.code : "internal";
      if (this.#fault === undefined) log.warn({ err: error }, "The contracts cannot be compared with the registry's.");
      this.#fault = code;
      return false;
    }
    if (this.#fault !== undefined) log.info({}, "The schema registry is back.");
    this.#fault = undefined;
    metrics.countRun(Date.now() / 1_000);
    for (const comparison of this.#last) this.#measure(comparison);
    return this.#tellAll(this.#last);
  }

  #measure({ schema, status, change, registry_sha256 }: SchemaComparison): void {
    const { metrics, track, log } = this.#options;
    const wasCounted = this.#counted.get(schema);
    if (status !== "drift" || registry_sha256 === null) {
      if (wasCounted !== undefined) log.info({ schema, status }, `The drift of ${schema} is over.`);
      this.#counted.delete(schema);
      if (status === "missing") metrics.setMissing(track, schema);
      else metrics.setInSync(track, schema);
      if (wasCounted !== undefined) this.#settled.delete(schema);
      return;
    }
    const isNew = wasCounted !== registry_sha256;
    if (isNew) {
      this.#settled.delete(schema);
      log.warn({ schema, track, change }, `The contract ${schema} differs from the registry's (${change}).`);
    }
    this.#counted.set(schema, registry_sha256);
    metrics.setDrift(track, schema, { isNew, isBreaking: change === "breaking", atSeconds: Date.now() / 1_000 });
  }

  /** A database that is away is tried again; the gauges are right meanwhile. */
  async #tellAll(comparisons: readonly SchemaComparison[]): Promise<boolean> {
    const { log } = this.#options;
    try {
      for (const comparison of comparisons) await this.#tell(comparison);
      return true;
    } catch (err) {
      log.debug({ err }, "What is known of drift cannot be kept yet.");
      return this.#ending.signal.aborted;
    }
  }

  async #tell(comparison: SchemaComparison): Promise<void> {
    const { ledger, track, version, onDrift } = this.#options;
    const { schema, status, change, local_sha256, registry_sha256, registry_version } = comparison;
    const { signal } = this.#ending;
    if (status !== "drift" || registry_sha256 === null || registry_version === null || change === null) {
      if (this.#settled.has(schema)) return;
      await ledger.clear({ schema_name: schema, track, local_sha256 }, signal);
      this.#settled.add(schema);
      return;
    }
    const found = { track, local_sha256, local_version: version, registry_sha256, registry_version, change };
    // Noted at every comparison, so that the database knows that it still holds.
    if (!(await ledger.note({ schema_name: schema, ...found }, signal))) return;
    onDrift({ repo: REPO, schema, ...found, detected_at: Date.now() / 1_000 });
  }
}
