/**
 * The metrics of one process, in one registry that is passed on, never the library's global one. What moves in the
 * process is in here; the text is rendered at most once a second however often it is asked for. Labels are bounded:
 * callers give route patterns and names of datasets, never what a client sent.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { RequestMetrics } from "./request-metrics.ts";

/** How long a rendered text is given out again: scrapes are seconds apart, and rendering costs 35 health requests. */
const RENDER_CACHE_MS = 1_000;
/** From a health check of a job to a backfill over night. */
const RUN_SECONDS = [0.1, 1, 10, 60, 300, 900, 3_600, 14_400, 43_200];
/** The event loop's delay is sampled this often: coarse enough to cost nothing while idle. */
const EVENT_LOOP_SAMPLE_MS = 50;

/** Connections of a pool, by what they do. */
export interface PoolCounts {
  readonly inUse: number;
  readonly idle: number;
  /** Callers that wait for a connection. */
  readonly waiting: number;
}

/** What became of a row. */
type RowResult = "inserted" | "updated" | "unchanged" | "rejected";

/** A finished run of a job. */
export interface FinishedRun {
  readonly job_name: string;
  readonly provider: string | null;
  readonly mode: string;
  readonly status: string;
  /** From start to completion, in microseconds. */
  readonly elapsed_us: bigint | null;
}

/** How many jobs of a name wait, and for how long the oldest that could begin has waited. */
interface QueueDepth {
  readonly name: string;
  readonly depth: number;
  readonly oldestAgeSeconds: number;
}

/** The one set of metrics of a process. Make one, pass it on. */
export class StoreMetrics {
  readonly #registry = new Registry();
  readonly #storeUp: Gauge;
  readonly #requests: RequestMetrics;
  readonly #migrationsApplied: Counter;
  readonly #rowsWritten: Counter<"dataset" | "result">;
  readonly #rowsWrittenAt: Gauge<"dataset">;
  readonly #runs: Counter<"job_name" | "provider" | "mode" | "status">;
  readonly #runSeconds: Histogram<"job_name" | "provider" | "mode" | "status">;
  readonly #queueDepth: Gauge<"job_name">;
  readonly #queueAge: Gauge<"job_name">;
  #rendered: { readonly text: Promise<string>; readonly at: number } | undefined;
  #lastRender: "none" | "ok" | "failed" = "none";

  constructor() {
    const registers = [this.#registry];
    this.#storeUp = new Gauge({
      name: "store_up",
      help: "1 while the store is ready: its database answers and is migrated, and the process is not stopping.",
      registers,
    });
    this.#requests = new RequestMetrics(registers);
    this.#migrationsApplied = new Counter({
      name: "migrations_applied_total",
      help: "Migrations that this process applied.",
      registers,
    });
    this.#rowsWritten = new Counter({
      name: "mds_rows_written_total",
      help: "Rows by what became of them: inserted, updated, unchanged or rejected.",
      labelNames: ["dataset", "result"],
      registers,
    });
    this.#rowsWrittenAt = new Gauge({
      name: "mds_rows_last_written_timestamp_seconds",
      help: "When this process last wrote rows of a dataset, or found them there already, epoch seconds.",
      labelNames: ["dataset"],
      registers,
    });
    this.#runs = new Counter({
      name: "store_job_runs_total",
      help: "Runs of jobs that this process finished, by how they ended.",
      labelNames: ["job_name", "provider", "mode", "status"],
      registers,
    });
    this.#runSeconds = new Histogram({
      name: "store_job_runs_duration_seconds",
      help: "Time from a run's start to its end.",
      labelNames: ["job_name", "provider", "mode", "status"],
      buckets: RUN_SECONDS,
      registers,
    });
    this.#queueDepth = new Gauge({
      name: "mds_job_queue_depth",
      help: "Jobs that wait for a runner.",
      labelNames: ["job_name"],
      registers,
    });
    this.#queueAge = new Gauge({
      name: "mds_job_queue_oldest_age_seconds",
      help: "For how long the oldest job that could begin has waited; 0 where none does.",
      labelNames: ["job_name"],
      registers,
    });
  }

  /** Where further families of the same process are added. */
  get registry(): Registry {
    return this.#registry;
  }

  /** Adds the metrics of the process, its memory and its event loop. Once, in a process that is scraped. */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
  }

  /** Adds gauges of a pool's connections, read at each rendering. */
  watchPool(counts: () => PoolCounts): void {
    const gauge = (name: string, help: string, read: (pool: PoolCounts) => number): void => {
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(read(counts()));
        },
      });
    };
    gauge("mds_database_pool_in_use", "Connections to the database that are in use.", (pool) => pool.inUse);
    gauge("mds_database_pool_idle", "Open connections to the database that nobody uses.", (pool) => pool.idle);
    gauge("mds_database_pool_waiting", "Callers that wait for a connection to the database.", (pool) => pool.waiting);
  }

  /** Sets `store_up`. The next scrape shows it. */
  setUp(up: boolean): void {
    this.#storeUp.set(up ? 1 : 0);
    this.#rendered = undefined;
  }

  /** Counts an answered request. `endpoint` is a route's pattern. */
  countRequest(method: string, endpoint: string, status: number, seconds: number): void {
    this.#requests.count(method, endpoint, status, seconds);
  }

  countMigrations(applied: number): void {
    this.#migrationsApplied.inc(applied);
  }

  countRows(dataset: string, result: RowResult, rows: number): void {
    this.#rowsWritten.inc({ dataset, result }, rows);
    if (result !== "rejected" && rows > 0) this.#rowsWrittenAt.set({ dataset }, Date.now() / 1_000);
  }

  /** Counts a run that has ended, as the ledger gives it. Only of jobs whose names and providers the process knows. */
  countRun({ job_name, provider, mode, status, elapsed_us }: FinishedRun): void {
    const labels = { job_name, provider: provider ?? "", mode, status };
    this.#runs.inc(labels);
    this.#runSeconds.observe(labels, Number(elapsed_us ?? 0n) / 1_000_000);
  }

  /** Shows how deep the job queue is; a job that is no longer in it is no longer shown. */
  setJobQueue(depths: readonly QueueDepth[]): void {
    this.#queueDepth.reset();
    this.#queueAge.reset();
    for (const { name, depth, oldestAgeSeconds } of depths) {
      this.#queueDepth.set({ job_name: name }, depth);
      this.#queueAge.set({ job_name: name }, oldestAgeSeconds);
    }
  }

  /** Whether the last rendering worked; `none` before the first. */
  get lastRender(): "none" | "ok" | "failed" {
    return this.#lastRender;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The text for a scrape, up to a second old. Callers at the same time share one rendering. */
  render(): Promise<string> {
    const now = performance.now();
    if (this.#rendered === undefined || now - this.#rendered.at >= RENDER_CACHE_MS) {
      this.#rendered = { text: this.#renderNow(), at: now };
    }
    return this.#rendered.text;
  }

  async #renderNow(): Promise<string> {
    try {
      const text = await this.#registry.metrics();
      this.#lastRender = "ok";
      return text;
    } catch (error) {
      this.#lastRender = "failed";
      throw error;
    }
  }
}
