/** Metrics of the comparison with the schema registry, in the registry of the process. Labels come from our own contracts. */
import { Counter, Gauge, type Registry } from "prom-client";

const REPO = "market-data-store";
const LABELS = ["repo", "track", "schema"] as const;

export class DriftMetrics {
  readonly #found: Counter<(typeof LABELS)[number]>;
  readonly #lastFound: Gauge<(typeof LABELS)[number]>;
  readonly #state: Gauge<(typeof LABELS)[number]>;
  readonly #breaking: Gauge<(typeof LABELS)[number]>;
  readonly #lastRun: Gauge;
  readonly #interval: Gauge;
  readonly #errors: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#found = new Counter({
      name: "schema_drift_total",
      help: "Differences between a contract and the registry's that this process has found, each counted once.",
      labelNames: LABELS,
      registers,
    });
    this.#lastFound = new Gauge({
      name: "schema_drift_last_detected_timestamp",
      help: "When a contract was last found to differ from the registry's, epoch seconds. It stays when that is over.",
      labelNames: LABELS,
      registers,
    });
    this.#state = new Gauge({
      name: "mds_schema_drift_state",
      help: "1 while a contract differs from the registry's, 0 while it does not; absent while the registry lacks it.",
      labelNames: LABELS,
      registers,
    });
    this.#breaking = new Gauge({
      name: "mds_schema_drift_breaking",
      help: "1 while a contract differs from the registry's in a way that breaks readers or writers, else 0.",
      labelNames: LABELS,
      registers,
    });
    this.#lastRun = new Gauge({
      name: "mds_schema_drift_last_run_timestamp",
      help: "When the contracts were last compared with the registry's to the end, epoch seconds.",
      registers,
    });
    this.#interval = new Gauge({
      name: "mds_schema_drift_interval_seconds",
      help: "From one comparison of the contracts to the next, as it is set.",
      registers,
    });
    this.#errors = new Counter({
      name: "mds_registry_errors_total",
      help: "Comparisons that ended because the registry did not answer, or not as one.",
      registers,
    });
  }

  /** Begins the count of a contract, so that its first difference is an increase. */
  begin(track: string, schema: string): void {
    this.#found.inc({ repo: REPO, track, schema }, 0);
  }

  /** Shows how old a comparison may become, so that an alert needs no setting of its own. */
  setInterval(seconds: number): void {
    this.#interval.set(seconds);
  }

  /** A comparison found a difference. */
  setDrift(track: string, schema: string, facts: { isNew: boolean; isBreaking: boolean; atSeconds: number }): void {
    const labels = { repo: REPO, track, schema };
    if (facts.isNew) this.#found.inc(labels);
    this.#lastFound.set(labels, facts.atSeconds);
    this.#state.set(labels, 1);
    this.#breaking.set(labels, facts.isBreaking ? 1 : 0);
  }

  /** A comparison found none. */
  setInSync(track: string, schema: string): void {
    this.#state.set({ repo: REPO, track, schema }, 0);
    this.#breaking.set({ repo: REPO, track, schema }, 0);
  }

  /** The registry does not have the contract: neither a difference nor none. */
  setMissing(track: string, schema: string): void {
    this.#state.remove({ repo: REPO, track, schema });
    this.#breaking.remove({ repo: REPO, track, schema });
  }

  countRun(atSeconds: number): void {
    this.#lastRun.set(atSeconds);
  }

  countError(): void {
    this.#errors.inc();
  }
}
