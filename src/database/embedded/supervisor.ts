/**
 * Keeps a server running: when it ends by itself it is started again, with growing pauses, until it is stopped or has
 * failed too often in a row. Each change is logged once. It does not know how a server is started.
 */
import { setTimeout as wait } from "node:timers/promises";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { describeExit, type RunningServer } from "./server.ts";

/** About half a minute of trying: a server that fails this often needs a person (a full disk, damaged data). */
export const MAX_FAILED_RESTARTS = 10;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** A server that ran for this long was healthy; one that ends sooner counts as a failed start. */
const STABLE_AFTER_MS = 60_000;

/** What the embedded database logs to; a pino logger fits. */
export interface EmbeddedLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

interface Supervision {
  readonly start: (signal: AbortSignal) => Promise<RunningServer>;
  readonly log: EmbeddedLog;
  /** Called once, when the server is given up. */
  readonly onLost: (error: StoreError) => void;
  /** Milliseconds, from anywhere; tests give their own. */
  readonly now?: () => number;
  readonly pause?: (delayMs: number, signal: AbortSignal) => Promise<unknown>;
}

/** Owner of the server's process. */
export class Supervisor {
  readonly #supervision: Supervision;
  readonly #stopping = new AbortController();
  readonly #now: () => number;
  readonly #pause: (delayMs: number, signal: AbortSignal) => Promise<unknown>;
  #server: RunningServer | undefined;
  #watching: Promise<void> = Promise.resolve();

  constructor(supervision: Supervision) {
    this.#supervision = supervision;
    this.#now = supervision.now ?? (() => performance.now());
    this.#pause = supervision.pause ?? ((delayMs, signal) => wait(delayMs, undefined, { signal }));
  }

  /** Starts the server and keeps it running from then on. @throws what the first start throws. */
  async start(signal: AbortSignal): Promise<void> {
    this.#server = await this.#supervision.start(signal);
    process.once("exit", this.#onProcessExit);
    this.#watching = this.#watch(this.#server);
  }

  /** Ends the server for good; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#server?.stop();
    await this.#watching;
    process.removeListener("exit", this.#onProcessExit);
  }

  /** `process.exit` elsewhere must not leave a server behind; nothing can be waited for any more. */
  readonly #onProcessExit = (): void => this.#server?.signalStop();

  async #watch(first: RunningServer): Promise<void> {
    let failed = 0;
    for (let server: RunningServer | undefined = first; server; ) {
      const upSince = this.#now();
      const exit = await server.exited;
      if (this.#stopping.signal.aborted) return;
      if (this.#now() - upSince >= STABLE_AFTER_MS) failed = 0;
      const how = describeExit(exit);
      this.#supervision.log.warn({ exit }, `The embedded PostgreSQL ended by itself (${how}) and is started again.`);
      ({ server, failed } = await this.#startAgain(failed));
      this.#server = server;
      if (this.#stopping.signal.aborted) return server?.stop();
      if (server) this.#supervision.log.info({ pid: server.pid }, "The embedded PostgreSQL is running again.");
    }
  }

  async #startAgain(failedBefore: number): Promise<{ server: RunningServer | undefined; failed: number }> {
    const { signal } = this.#stopping;
    let reason = "it ended each time soon after it had started";
    for (let failed = failedBefore; failed < MAX_FAILED_RESTARTS; failed += 1) {
      try {
        await this.#pause(Math.min(FIRST_PAUSE_MS * 2 ** failed, LONGEST_PAUSE_MS), signal);
        // Counts as failed until it has run for long enough.
        return { server: await this.#supervision.start(signal), failed: failed + 1 };
      } catch (error) {
        if (signal.aborted) return { server: undefined, failed };
        reason = messageOf(error);
      }
    }
    const lost = new StoreError(
      "embedded_failed",
      `The embedded PostgreSQL was given up after ${MAX_FAILED_RESTARTS} failed starts in a row: ${reason}`,
    );
    this.#supervision.log.error({ error: lost.message }, lost.message);
    this.#supervision.onLost(lost);
    return { server: undefined, failed: MAX_FAILED_RESTARTS };
  }
}
