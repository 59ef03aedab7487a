/**
 * A circuit breaker that many workers share. Closed: everybody goes on. Open: everybody waits in a queue. Half-open:
 * exactly one of them, the one that has waited longest, tries; what comes of it opens or closes the circuit for all.
 * Waiting is never a failure, can be ended by a signal, and needs a timer only while somebody waits.
 * Why it is not a library's: docs/decisions/coordinator.md.
 */
import type { Clock } from "./clock.ts";

export type CircuitState = "closed" | "open" | "half_open";

/** Leave for one try. Its holder reports exactly one outcome. */
export interface Permit {
  /** False when the circuit has changed since: ask again. */
  readonly isCurrent: boolean;
  /** `unknown` when the try was given up before it could tell anything. */
  report(outcome: "success" | "failure" | "unknown"): void;
}

interface CircuitBreakerOptions {
  /** Failures in a row that open the circuit. */
  readonly failuresToOpen: number;
  /** From opening until one may probe. */
  readonly halfOpenAfterMs: number;
  readonly clock: Clock;
  readonly onChange?: (state: CircuitState) => void;
}

interface Waiter {
  readonly resolve: (permit: Permit) => void;
}

export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  #state: CircuitState = "closed";
  #failures = 0;
  #probeAt = 0;
  /** Grows with each change of state: what was begun before a change says nothing about the state after it. */
  #era = 0;
  readonly #waiting = new Set<Waiter>();
  #cancelTimer: (() => void) | undefined;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
  }

  get state(): CircuitState {
    return this.#state;
  }

  /** Failures since the last success. */
  get failures(): number {
    return this.#failures;
  }

  /** When the next probe may begin, on the clock's `now`; undefined unless the circuit is open. */
  get probeAt(): number | undefined {
    return this.#state === "open" ? this.#probeAt : undefined;
  }

  /** How many wait for leave. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Leave to try, at once while the circuit is closed.
   * @throws The signal's reason, when it is aborted before.
   */
  enter(signal: AbortSignal): Promise<Permit> | Permit {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.#state === "closed") return this.#permit();
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#waiting.delete(waiter);
        if (this.#waiting.size === 0) this.#disarm();
        reject(signal.reason as Error);
      };
      const waiter: Waiter = {
        resolve: (permit) => {
          signal.removeEventListener("abort", stop);
          resolve(permit);
        },
      };
      signal.addEventListener("abort", stop, { once: true });
      this.#waiting.add(waiter);
      this.#arm();
    });
  }

  #permit(): Permit {
    const era = this.#era;
    const isCurrent = (): boolean => era === this.#era;
    let isReported = false;
    return {
      get isCurrent() {
        return isCurrent();
      },
      report: (outcome) => {
        if (isReported || !isCurrent()) return;
        isReported = true;
        if (this.#state === "half_open") this.#endProbe(outcome);
        else if (outcome === "success") this.#failures = 0;
        else if (outcome === "failure" && ++this.#failures >= this.#options.failuresToOpen) this.#open();
      },
    };
  }

  #endProbe(outcome: "success" | "failure" | "unknown"): void {
    if (outcome === "success") this.#close();
    else if (outcome === "failure") this.#open();
    else {
      this.#change("open");
      this.#probeAt = this.#options.clock.now(); // Nothing was learnt, so the next one may try at once.
      this.#arm();
    }
  }

  #open(): void {
    this.#probeAt = this.#options.clock.now() + this.#options.halfOpenAfterMs;
    this.#change("open");
    this.#arm();
  }

  #close(): void {
    this.#failures = 0;
    this.#change("closed");
    for (const waiter of this.#waiting) waiter.resolve(this.#permit());
    this.#waiting.clear();
  }

  #arm(): void {
    if (this.#state !== "open" || this.#waiting.size === 0 || this.#cancelTimer !== undefined) return;
    const delayMs = Math.max(0, this.#probeAt - this.#options.clock.now());
    this.#cancelTimer = this.#options.clock.after(delayMs, () => {
      this.#cancelTimer = undefined;
      const [first] = this.#waiting;
      if (this.#state !== "open" || first === undefined) return;
      this.#waiting.delete(first);
      this.#change("half_open");
      first.resolve(this.#permit());
    });
  }

  #disarm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #change(state: CircuitState): void {
    this.#disarm();
    this.#era++;
    this.#state = state;
    this.#options.onChange?.(state);
  }
}
