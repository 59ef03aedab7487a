/**
 * The metrics of the spool and of dead letters. Their names are contracts. Gauges are read at a scrape, so an idle process
 * does nothing for them; one whose source fails is left out of that scrape.
 */
import { Counter, Gauge, type Registry } from "prom-client";

/** What the spool's gauges show. */
export interface SpoolGauges {
  readonly bytes: number;
  readonly maxBytes: number;
  /** Records that are accepted and not acknowledged. */
  readonly depth: number;
  /** Milliseconds since the epoch. */
  readonly oldestAcceptedAt: number | undefined;
  /** Accepted records that turned out to be damaged. */
  readonly damaged: number;
}

/** The families in one registry. Make one a registry, pass it on. */
export class SpoolMetrics {
  readonly #registry: Registry;
  readonly #deadLetters: Counter<"dataset" | "code">;

  constructor(registry: Registry) {
    this.#registry = registry;
    this.#deadLetters = new Counter({
      name: "mds_dead_letters_total",
      help: "Rows that this process gave up and kept as dead letters.",
      labelNames: ["dataset", "code"],
      registers: [registry],
    });
  }

  /** Adds the spool's gauges. Once. */
  watchSpool(read: () => SpoolGauges): void {
    const age = ({ oldestAcceptedAt: at }: SpoolGauges): number =>
      at === undefined ? 0 : Math.max(0, Date.now() - at) / 1_000;
    this.#gauge("mds_spool_bytes", "Size of the spool on disk.", () => read().bytes);
    this.#gauge("mds_spool_max_bytes", "The size at which the spool is full.", () => read().maxBytes);
    this.#gauge("mds_spool_records", "Accepted rows that are not stored yet.", () => read().depth);
    this.#gauge("mds_spool_oldest_age_seconds", "How long the oldest of them has waited; 0 for none.", () =>
      age(read()),
    );
    this.#gauge(
      "mds_spool_damaged_records",
      "Accepted rows lost to a damaged disk since the start.",
      () => read().damaged,
    );
  }

  /** Adds the gauge of dead letters that wait for somebody, of all processes. Once. */
  watchDeadLetters(count: () => Promise<number>): void {
    this.#gauge("mds_dead_letters", "Dead letters in the folder, which wait for somebody.", count);
  }

  /** Counts letters that were kept. */
  countDeadLetters(letters: readonly { readonly dataset: string; readonly code: string }[]): void {
    for (const { dataset, code } of letters) this.#deadLetters.inc({ dataset, code });
  }

  #gauge(name: string, help: string, read: () => number | Promise<number>): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      async collect() {
        try {
          this.set(await read());
        } catch {
          this.reset();
        }
      },
    });
  }
}
