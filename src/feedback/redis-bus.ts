/**
 * The event bus on Redis Streams. Publishing puts an event into a bounded buffer and returns; a loop of its own sends
 * what is there, in order, and sends again what a lost connection left open, so an event may come twice, with the same
 * id. While Redis is away the buffer fills and then drops its oldest, counted.
 *
 * An entry has the fields `data` (the envelope as JSON), `id`, `key`, `schema_id` and `track`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { EventEnvelope } from "../contracts/event-envelope.ts";
import type { Logger } from "../telemetry/logger.ts";
import { EventBuffer } from "./event-buffer.ts";
import {
  type BusHealth,
  CLOSE_TIMEOUT_MS,
  type ConsumeOptions,
  type Consumption,
  type EventBus,
  type PublishOutcome,
} from "./event-bus.ts";
import { answered, keepConnected, loadRedis, RedisReplyError, type RedisSession } from "./redis-connection.ts";
import { RedisConsumption } from "./redis-consumption.ts";
import { settledWithin } from "./settled-within.ts";

/** Entries that a stream keeps, about: a day of crossings a few seconds apart, some 5 MB. */
const DEFAULT_STREAM_EVENTS = 10_000;
/** Events that wait while Redis is away: some 10 MB at most. Feedback is about now; older than these helps nobody. */
const DEFAULT_BUFFER_EVENTS = 10_000;
/** Commands that are under way together: enough that the round trip does not count. */
const BATCH_EVENTS = 500;
/** An idle connection is tried this often, so that a lost one shows. */
const PING_INTERVAL_MS = 5_000;

/** Until the server is asked again that would not take a command now. */
const LATER_PAUSE_MS = 1_000;

/** An event waits so long for others to go with it: a batch costs the publisher's thread as much as several events. */
const GATHER_MS = 5;

/** Answers by which a server says that it will take the command later: out of memory, loading, failing over. */
const LATER: ReadonlySet<string> = new Set([
  ...["OOM", "LOADING", "READONLY", "BUSY", "MASTERDOWN", "NOREPLICAS", "TRYAGAIN", "CLUSTERDOWN", "MISCONF"],
]);

export interface RedisBusOptions {
  /** redis://[[login]:password@]host[:port][/database], or rediss:// for TLS. */
  readonly url: string;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly streamEvents?: number;
  readonly bufferEvents?: number;
}

interface Waiting {
  readonly command: readonly string[];
  readonly resolve: (outcome: PublishOutcome) => void;
}

type Redis = Awaited<ReturnType<typeof loadRedis>>;

export class RedisBus implements EventBus {
  readonly backend = "redis";
  readonly #redis: Redis;
  readonly #options: RedisBusOptions;
  readonly #buffer: EventBuffer<Waiting>;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #wake = Promise.withResolvers<void>();
  #connected = false;
  #closing = false;
  /** The server answers, but takes nothing for now. */
  #refusing = false;
  #sending = 0;

  private constructor(redis: Redis, options: RedisBusOptions) {
    this.#redis = redis;
    this.#options = options;
    this.#buffer = new EventBuffer(options.bufferEvents ?? DEFAULT_BUFFER_EVENTS, ({ resolve }) => resolve("dropped"));
    this.#running = keepConnected(redis, {
      url: options.url,
      name: "mds-publisher",
      signal: this.#ending.signal,
      log: options.log,
      onState: (connected) => {
        this.#connected = connected;
      },
      work: (session) => this.#send(session),
    });
  }

  /**
   * Begins to connect and returns; a server that is away is waited for.
   * @throws StoreError `packages_missing` where the optional package is not installed.
   */
  static async open(options: RedisBusOptions): Promise<RedisBus> {
    return new RedisBus(await loadRedis(), options);
  }

  publish(stream: string, event: EventEnvelope): Promise<PublishOutcome> {
    if (this.#closing) return Promise.resolve("dropped");
    const kept = String(this.#options.streamEvents ?? DEFAULT_STREAM_EVENTS);
    const { id, key, meta } = event;
    const fields = [
      "data",
      JSON.stringify(event),
      "id",
      id,
      "key",
      key,
      "schema_id",
      meta.schema_id,
      "track",
      meta.track,
    ];
    return new Promise((resolve) => {
      this.#buffer.add({ command: ["XADD", stream, "MAXLEN", "~", kept, "*", ...fields], resolve });
      this.#wake.resolve();
    });
  }

  consume(options: ConsumeOptions): Consumption {
    return new RedisConsumption(this.#redis, this.#options, options);
  }

  health(): BusHealth {
    const connected = this.#connected && !this.#refusing;
    return { connected, buffered: this.#buffer.size + this.#sending, dropped: this.#buffer.dropped };
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#wake.resolve();
    await settledWithin(this.#running, this.#connected ? CLOSE_TIMEOUT_MS : 0);
    this.#ending.abort();
    await this.#running;
    this.#buffer.dropAll();
  }

  async #send(session: RedisSession): Promise<void> {
    const wake = (): void => this.#wake.resolve();
    const pings = setInterval(wake, PING_INTERVAL_MS);
    session.signal.addEventListener("abort", wake, { once: true });
    try {
      while (!session.signal.aborted) await this.#sendNext(session);
    } finally {
      clearInterval(pings);
    }
  }

  async #sendNext(session: RedisSession): Promise<void> {
    if (this.#buffer.size > 0) {
      this.#refusing = !(await this.#sendBatch(session, this.#buffer.take(BATCH_EVENTS)));
      if (this.#refusing) await sleep(LATER_PAUSE_MS, undefined, { signal: session.signal }).catch(() => undefined);
    } else if (this.#closing) this.#ending.abort();
    else await this.#idle(session);
  }

  async #idle(session: RedisSession): Promise<void> {
    this.#wake = Promise.withResolvers();
    await this.#wake.promise;
    if (session.signal.aborted || this.#closing) return;
    if (this.#buffer.size === 0) await answered(session.send(["PING"]));
    else await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
  }

  /** Puts back what was not taken, in order. True when all was, false when the server will take it later. */
  async #sendBatch(session: RedisSession, batch: readonly Waiting[]): Promise<boolean> {
    const open = new Set(batch);
    let failure: unknown;
    const sendOne = async (one: Waiting): Promise<void> => {
      try {
        await session.send(one.command);
        one.resolve("success");
        open.delete(one);
      } catch (error) {
        if (!(error instanceof RedisReplyError)) failure ??= error;
        else if (!LATER.has(error.reply)) {
          one.resolve("failure");
          open.delete(one);
        }
      }
    };
    this.#sending = batch.length;
    try {
      await answered(Promise.all(batch.map(sendOne)));
      if (failure !== undefined) throw failure;
      return open.size === 0;
    } finally {
      this.#sending = 0;
      this.#buffer.putBack(batch.filter((one) => open.has(one)));
    }
  }
}
