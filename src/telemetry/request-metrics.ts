/** The metrics that every HTTP server of ours has. */
import { Counter, Histogram, type Registry } from "prom-client";

/** From a health request (far below a millisecond) to the longest wait for a database. */
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class RequestMetrics {
  readonly #requests: Counter<"method" | "endpoint" | "status">;
  readonly #seconds: Histogram<"method" | "endpoint">;

  constructor(registers: Registry[]) {
    this.#requests = new Counter({
      name: "http_requests_total",
      help: "HTTP requests answered, by the route's pattern.",
      labelNames: ["method", "endpoint", "status"],
      registers,
    });
    this.#seconds = new Histogram({
      name: "http_request_duration_seconds",
      help: "Time from a request's head to the end of its answer.",
      labelNames: ["method", "endpoint"],
      buckets: REQUEST_SECONDS,
      registers,
    });
  }

  /** Counts an answered request. `endpoint` is a route's pattern. */
  count(method: string, endpoint: string, status: number, seconds: number): void {
    this.#requests.inc({ method, endpoint, status });
    this.#seconds.observe({ method, endpoint }, seconds);
  }
}
