/**
 * A consumer of a Redis Stream on a connection of its own. In a group it begins with what it had begun before, takes over
 * what a silent consumer left, and then reads what is new; every entry is acknowledged once it is done with.
 */
import { hostname } from "node:os";
import type { Logger } from "../telemetry/logger.ts";
import { deliver } from "./deliver.ts";
import { CLOSE_TIMEOUT_MS, type ConsumeOptions, type Consumption } from "./event-bus.ts";
import { answered, keepConnected, type loadRedis, RedisReplyError, type RedisSession } from "./redis-connection.ts";
import { settledWithin } from "./settled-within.ts";

/** Entries that are read together. Few, so that those that wait behind a slow one are not taken for left by others. */
const READ_COUNT = 10;
/** How long the server holds a read that finds nothing. */
const BLOCK_MS = 2_000;
const DEFAULT_CLAIM_AFTER_MS = 60_000;

/** An entry that was trimmed while it was pending has no fields. */
type Entry = readonly [id: string, fields: readonly string[] | null];
type StreamsReply = readonly (readonly [stream: string, entries: readonly Entry[]])[] | null;

export class RedisConsumption implements Consumption {
  readonly ready: Promise<void>;
  readonly #options: ConsumeOptions;
  readonly #consumer: string;
  readonly #claimAfterMs: number;
  /** No further entry is begun. */
  readonly #stopping = new AbortController();
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  readonly #placed = Promise.withResolvers<void>();
  /** Without a group: the last entry that was seen. */
  #lastId: string | undefined;
  #isPlaced = false;
  #nextClaimAt = 0;
  #handling: Promise<void> | undefined;

  constructor(
    redis: Awaited<ReturnType<typeof loadRedis>>,
    { url, log }: { readonly url: string; readonly log: Pick<Logger, "info" | "warn"> },
    options: ConsumeOptions,
  ) {
    this.#options = options;
    this.#consumer = options.consumer ?? hostname();
    this.#claimAfterMs = options.claimAfterMs ?? DEFAULT_CLAIM_AFTER_MS;
    this.ready = this.#placed.promise;
    this.#running = keepConnected(redis, {
      url,
      name: "mds-consumer",
      signal: this.#ending.signal,
      log,
      onState: () => undefined,
      work: (session) =>
        options.group === undefined ? this.#readAll(session) : this.#readGroup(session, options.group),
    });
  }

  async close({ timeoutMs = CLOSE_TIMEOUT_MS }: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#stopping.abort();
    if (this.#handling !== undefined) await settledWithin(this.#handling, timeoutMs);
    this.#ending.abort();
    // A handler that does not end keeps its loop, which then ends without having acknowledged anything.
    await settledWithin(this.#running, timeoutMs);
    this.#placed.resolve();
  }

  async #readAll(session: RedisSession): Promise<void> {
    const { stream, from } = this.#options;
    this.#lastId ??= from === "oldest" ? "0-0" : await newestId(session, stream);
    this.#placed.resolve();
    while (this.#goesOn(session)) {
      const after: string = this.#lastId;
      const read = ["XREAD", "COUNT", String(READ_COUNT), "BLOCK", String(BLOCK_MS), "STREAMS", stream, after];
      for (const entry of entriesOf(await answered(session.send(read), BLOCK_MS))) {
        if (!(await this.#handle(entry, session))) return;
        [this.#lastId] = entry;
      }
    }
  }

  async #readGroup(session: RedisSession, group: string): Promise<void> {
    await this.#makeGroup(session, group);
    this.#isPlaced = true;
    this.#placed.resolve();
    let own: string | undefined = "0-0";
    while (this.#goesOn(session)) {
      const entries: readonly Entry[] =
        own === undefined ? await this.#next(session, group) : await this.#read(session, group, own);
      if (own !== undefined) own = entries.at(-1)?.[0];
      for (const entry of entries) {
        if (!(await this.#handle(entry, session, group))) return;
      }
    }
  }

  #goesOn(session: RedisSession): boolean {
    return !session.signal.aborted && !this.#stopping.signal.aborted;
  }

  async #makeGroup(session: RedisSession, group: string): Promise<void> {
    const { stream, from = "oldest" } = this.#options;
    // A group that had a place and is gone begins with whatever there is: the server has lost its data.
    const start = from === "now" && !this.#isPlaced ? "$" : "0";
    const create = ["XGROUP", "CREATE", stream, group, start, "MKSTREAM"];
    await answered(session.send(create)).catch((error: unknown) => {
      if (!(error instanceof RedisReplyError && error.reply === "BUSYGROUP")) throw error;
    });
  }

  async #next(session: RedisSession, group: string): Promise<readonly Entry[]> {
    const claimed = await this.#claim(session, group);
    return claimed.length > 0 ? claimed : this.#read(session, group, ">");
  }

  /** The next entries of the group: new ones with `>`, else this consumer's own that are pending after an id. */
  async #read(session: RedisSession, group: string, after: string): Promise<readonly Entry[]> {
    const wait = after === ">" ? ["BLOCK", String(Math.min(BLOCK_MS, this.#claimAfterMs))] : [];
    const read = ["XREADGROUP", "GROUP", group, this.#consumer, "COUNT", String(READ_COUNT), ...wait, "STREAMS"];
    return entriesOf(await answered(session.send([...read, this.#options.stream, after]), BLOCK_MS));
  }

  /** What others of the group have had for too long. */
  async #claim(session: RedisSession, group: string): Promise<readonly Entry[]> {
    if (performance.now() < this.#nextClaimAt) return [];
    const claim = [
      "XAUTOCLAIM",
      this.#options.stream,
      group,
      this.#consumer,
      String(this.#claimAfterMs),
      "0-0",
      "COUNT",
    ];
    const [, entries] = (await answered(session.send([...claim, String(READ_COUNT)]))) as [string, (Entry | null)[]];
    // There may be more than were asked for; else it is time again when one can have grown old.
    if (entries.length < READ_COUNT) this.#nextClaimAt = performance.now() + this.#claimAfterMs / 2;
    return entries.filter((entry) => entry !== null);
  }

  /** True when the entry is done with and the next one may come. */
  async #handle(entry: Entry, session: RedisSession, group?: string): Promise<boolean> {
    if (!this.#goesOn(session)) return false;
    const handling = this.#handleOne(entry, session, group);
    this.#handling = handling.then(
      () => undefined,
      () => undefined,
    );
    return handling;
  }

  async #handleOne([id, fields]: Entry, session: RedisSession, group?: string): Promise<boolean> {
    const data = fields === null ? undefined : fields[fields.indexOf("data") + 1];
    const isDone = data === undefined || (await deliver(this.#options, { entryId: id, data }, this.#stopping.signal));
    if (isDone && group !== undefined) await answered(session.send(["XACK", this.#options.stream, group, id]));
    return isDone;
  }
}

async function newestId(session: RedisSession, stream: string): Promise<string> {
  const entries = (await answered(session.send(["XREVRANGE", stream, "+", "-", "COUNT", "1"]))) as readonly Entry[];
  return entries[0]?.[0] ?? "0-0";
}

function entriesOf(reply: unknown): readonly Entry[] {
  return (reply as StreamsReply)?.[0]?.[1] ?? [];
}
