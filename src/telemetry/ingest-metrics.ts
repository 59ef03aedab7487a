/**
 * The metrics of ingestion: sinks, coordinators, feedback. Their names are contracts. Gauges are read at a scrape, so
 * that an idle process does nothing for them. Labels are ids that the composer gives and codes from our own tables.
 */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { StoreError } from "../errors/store-error.ts";

/** What a coordinator's gauges show. */
export interface CoordinatorGauges {
  /** Rows that are accepted and neither stored nor given up. */
  readonly queueSize: number;
  /** From so many on producers are told to stop. */
  readonly highWatermark: number;
  readonly workersAlive: number;
  readonly circuit: "closed" | "open" | "half_open";
}

/** From a small batch to one that meets its deadline. */
const WRITE_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const CIRCUIT_NUMBERS = { closed: 0, open: 1, half_open: 2 } as const;
const DEFAULT_POLL_MS = 250;

/** The ingestion's families in one registry. Make one a registry, pass it on. */
export class IngestMetrics {
  readonly #sinkWrites: Counter<"sink" | "outcome">;
  readonly #sinkSeconds: Histogram<"sink">;
  readonly #submitted: Counter<"coord_id">;
  readonly #dropped: Counter<"coord_id" | "reason">;
  readonly #batches: Counter<"coord_id" | "worker_id">;
  readonly #errors: Counter<"coord_id" | "worker_id" | "error_type">;
  readonly #seconds: Histogram<"coord_id" | "worker_id">;
  readonly #feedback: Counter<"subscriber" | "outcome">;
  readonly #coordinators = new Map<string, () => CoordinatorGauges>();
  readonly #pollMs: number;
  #sampled: { readonly at: number; readonly gauges: ReadonlyMap<string, CoordinatorGauges> } | undefined;

  /** @param pollMs - For so long the gauges' values are good; 250 unless given. */
  constructor(registry: Registry, { pollMs = DEFAULT_POLL_MS }: { readonly pollMs?: number } = {}) {
    if (typeof registry?.registerMetric !== "function") {
      throw new StoreError("usage", "IngestMetrics needs a Registry of prom-client.");
    }
    const registers = [registry];
    this.#pollMs = pollMs;
    const counter = <Name extends string>(name: string, help: string, labelNames: Name[]): Counter<Name> =>
      new Counter({ name, help, labelNames, registers });
    const histogram = <Name extends string>(name: string, help: string, labelNames: Name[]): Histogram<Name> =>
      new Histogram({ name, help, labelNames, buckets: WRITE_SECONDS, registers });
    const worker = ["coord_id", "worker_id"] as const;
    this.#sinkWrites = counter("sink_writes_total", "Batches that sinks committed, or failed to.", ["sink", "outcome"]);
    this.#sinkSeconds = histogram("sink_write_latency", "Seconds until a sink had committed a batch or failed.", [
      "sink",
    ]);
    this.#submitted = counter("mds_coord_items_submitted_total", "Rows that a coordinator accepted.", ["coord_id"]);
    this.#dropped = counter("mds_coord_items_dropped_total", "Rows that a coordinator refused or gave up.", [
      "coord_id",
      "reason",
    ]);
    this.#batches = counter("mds_worker_batches_written_total", "Batches that a worker wrote.", [...worker]);
    this.#errors = counter("mds_worker_write_errors_total", "Writes that failed, by the error's code.", [
      ...worker,
      "error_type",
    ]);
    this.#seconds = histogram("mds_worker_write_latency_seconds", "Seconds of a worker's write.", [...worker]);
    this.#feedback = counter("mds_feedback_deliveries_total", "Feedback by what became of it at a subscriber.", [
      "subscriber",
      "outcome",
    ]);
    this.#gauge(registry, "mds_coord_queue_depth", "Rows that are accepted and not stored yet.", (g) => g.queueSize);
    this.#gauge(
      registry,
      "mds_coord_queue_high_watermark",
      "From so many rows on producers are told to stop.",
      (g) => g.highWatermark,
    );
    this.#gauge(registry, "mds_coord_workers_alive", "Workers that take rows.", (g) => g.workersAlive);
    this.#gauge(
      registry,
      "mds_coord_circuit_state",
      "0 closed, 1 open (the database is waited for), 2 half-open (one probe is under way).",
      (g) => CIRCUIT_NUMBERS[g.circuit],
    );
  }

  countSinkWrite(sink: string, outcome: "success" | "failure", seconds: number): void {
    this.#sinkWrites.inc({ sink, outcome });
    this.#sinkSeconds.observe({ sink }, seconds);
  }

  countSubmitted(coordId: string, rows: number): void {
    this.#submitted.inc({ coord_id: coordId }, rows);
  }

  countDropped(coordId: string, reason: string, rows: number): void {
    this.#dropped.inc({ coord_id: coordId, reason }, rows);
  }

  countWrite(coordId: string, workerId: number, seconds: number, errorType?: string): void {
    const labels = { coord_id: coordId, worker_id: workerId };
    this.#seconds.observe(labels, seconds);
    if (errorType === undefined) this.#batches.inc(labels);
    else this.#errors.inc({ ...labels, error_type: errorType });
  }

  countFeedback(subscriber: string, outcome: "delivered" | "failed" | "dropped"): void {
    this.#feedback.inc({ subscriber, outcome });
  }

  /** Adds a coordinator's gauges. The function that is given back takes them out again. */
  watchCoordinator(coordId: string, read: () => CoordinatorGauges): () => void {
    this.#coordinators.set(coordId, read);
    // Shown from the start: a counter that appears with its first event hides that event from rates.
    this.#submitted.inc({ coord_id: coordId }, 0);
    return () => {
      if (this.#coordinators.get(coordId) === read) this.#coordinators.delete(coordId);
      this.#sampled = undefined;
    };
  }

  #gauge(registry: Registry, name: string, help: string, read: (gauges: CoordinatorGauges) => number): void {
    const sample = (): ReadonlyMap<string, CoordinatorGauges> => this.#sample();
    new Gauge({
      name,
      help,
      labelNames: ["coord_id"],
      registers: [registry],
      collect() {
        this.reset();
        for (const [coordId, gauges] of sample()) this.set({ coord_id: coordId }, read(gauges));
      },
    });
  }

  #sample(): ReadonlyMap<string, CoordinatorGauges> {
    const now = performance.now();
    if (this.#sampled === undefined || now - this.#sampled.at >= this.#pollMs) {
      const gauges = new Map([...this.#coordinators].map(([coordId, read]) => [coordId, read()]));
      this.#sampled = { at: now, gauges };
    }
    return this.#sampled.gauges;
  }
}
