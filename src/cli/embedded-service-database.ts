/**
 * The embedded database as the service sees it, which listens already while the database still starts: whoever asks
 * before waits. Closing it closes connections only; the server itself is ended with `stopServer`, after the service.
 */
import { setTimeout as wait } from "node:timers/promises";
import type { SchemaVersion } from "../contracts/schema-version.ts";
import { type EmbeddedDatabase, type EmbeddedUrls, openEmbedded } from "../database/embedded.ts";
import type { EngineName } from "../database/engine/engine.ts";
import { StoreDatabase } from "../database/store-database.ts";
import type { AdminScope } from "../database/tenants.ts";
import { StoreError } from "../errors/store-error.ts";
import type { ServiceDatabase } from "../service/service-database.ts";
import type { Logger } from "../telemetry/logger.ts";

/** Most commands end sooner; who started a second service by mistake should not wait longer to be told. */
const IN_USE_PATIENCE_MS = 10_000;
const POLL_MS = 100;

interface EmbeddedServiceOptions {
  readonly dataDir: string;
  /** The engine that the database must have; detected unless given. */
  readonly engine?: EngineName | undefined;
  readonly maxConnections: number;
  readonly log: Logger;
  /** Called once: it did not start, or it died and could not be started again. */
  readonly onLost: (error: unknown) => void;
}

interface Opened {
  readonly server: EmbeddedDatabase;
  readonly database: StoreDatabase;
}

export class EmbeddedServiceDatabase implements ServiceDatabase {
  readonly #starting = new AbortController();
  readonly #opening: Promise<Opened>;
  #opened: Opened | undefined;

  private constructor(options: EmbeddedServiceOptions) {
    this.#opening = this.#open(options);
    this.#opening.catch((error: unknown) => {
      if (!this.#starting.signal.aborted) options.onLost(error);
    });
  }

  /** Begins to start the database and returns at once. */
  static start(options: EmbeddedServiceOptions): EmbeddedServiceDatabase {
    return new EmbeddedServiceDatabase(options);
  }

  /** The folder that holds the data, once the server was started. */
  get folder(): string | undefined {
    return this.#opened?.server.folder;
  }

  /** Where it is, once it was started. */
  async urls(): Promise<EmbeddedUrls> {
    const { server } = await this.#opening;
    return { url: server.url, adminUrl: server.adminUrl };
  }

  async ping(signal: AbortSignal): Promise<void> {
    await (await this.#ready(signal)).ping(signal);
  }

  async schemaVersion(signal: AbortSignal): Promise<SchemaVersion> {
    return (await this.#ready(signal)).schemaVersion(signal);
  }

  async migrate(signal: AbortSignal): Promise<{ readonly applied: number }> {
    return (await this.#ready(signal)).migrate(signal);
  }

  async admin(signal: AbortSignal): Promise<AdminScope> {
    return (await this.#ready(signal)).admin();
  }

  poolCounts(): { inUse: number; idle: number; waiting: number } {
    return this.#opened?.database.poolCounts() ?? { inUse: 0, idle: 0, waiting: 0 };
  }

  async close(): Promise<void> {
    this.#starting.abort();
    const opened = await this.#opening.catch(() => undefined);
    await opened?.database.close();
  }

  /** Ends the server, also one that is still starting. */
  async stopServer(): Promise<void> {
    await this.close();
    await this.#opened?.server.stop();
  }

  async #open(options: EmbeddedServiceOptions): Promise<Opened> {
    const { engine, maxConnections, log } = options;
    const server = await this.#openFree(options);
    for (const notice of server.notices) log.info({}, notice);
    const { url, adminUrl } = server;
    const onIdleError = (error: Error): void => {
      // The end of the server breaks what is left of the connections.
      if (!this.#starting.signal.aborted) log.warn({ reason: error.message }, "An idle connection broke.");
    };
    this.#opened = { server, database: new StoreDatabase({ url, adminUrl, engine, maxConnections, onIdleError }) };
    return this.#opened;
  }

  /** A short command may have it just now; another service keeps it. */
  async #openFree({ dataDir, log, onLost }: EmbeddedServiceOptions): Promise<EmbeddedDatabase> {
    const { signal } = this.#starting;
    const deadline = performance.now() + IN_USE_PATIENCE_MS;
    for (let isTold = false; ; isTold = true) {
      try {
        return await openEmbedded({ dataDir, log, onLost, signal });
      } catch (error) {
        const isBusy = error instanceof StoreError && error.code === "embedded_in_use";
        if (!isBusy || performance.now() > deadline) throw error;
        const { pid } = error.details;
        const seconds = IN_USE_PATIENCE_MS / 1_000;
        if (!isTold) log.warn({ pid }, `Another process uses the embedded database; waiting ${seconds} s for its end.`);
        await wait(POLL_MS, undefined, { signal });
      }
    }
  }

  async #ready(signal: AbortSignal): Promise<StoreDatabase> {
    if (this.#opened !== undefined) return this.#opened.database;
    const late = Promise.withResolvers<never>();
    const stop = (): void =>
      late.reject(new StoreError("database_unavailable", "The embedded database is still starting."));
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      return (await Promise.race([this.#opening, late.promise])).database;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }
}
