/** The metrics of a schema registry's process, in a registry of their own. */
import { Counter, collectDefaultMetrics, Registry } from "prom-client";
import { RequestMetrics } from "./request-metrics.ts";

export class RegistryMetrics {
  readonly #registry = new Registry();
  readonly #requests = new RequestMetrics([this.#registry]);
  readonly #published = new Counter({
    name: "registry_publish_total",
    help: "Schemas that were sent, by what became of them: created, unchanged, incompatible or invalid.",
    labelNames: ["outcome"] as const,
    registers: [this.#registry],
  });

  /** Adds the metrics of the process. */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  countRequest(method: string, endpoint: string, status: number, seconds: number): void {
    this.#requests.count(method, endpoint, status, seconds);
  }

  countPublished(outcome: "created" | "unchanged" | "incompatible" | "invalid"): void {
    this.#published.inc({ outcome });
  }

  /** All families of the process. */
  get registry(): Registry {
    return this.#registry;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }
}
