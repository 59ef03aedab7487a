/**
 * A connection to Redis that is kept for as long as it is wanted: lost ones are made anew, in growing pauses. Nothing
 * queues up in the client while there is none; what to do about that is the user's business. Every call has a deadline.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, StoreError } from "../errors/store-error.ts";
import { withDeadline } from "../resilience/with-deadline.ts";
import type { Logger } from "../telemetry/logger.ts";

/** A server that does not answer for so long is taken for gone. */
const ANSWER_DEADLINE_MS = 5_000;
const FIRST_PAUSE_MS = 100;
/** Long enough not to disturb a server that recovers, short enough to go on soon after it has. */
const LONGEST_PAUSE_MS = 2_000;

/** A connection that is open. */
export interface RedisSession {
  /**
   * One command; commands of one turn of the event loop go out together, in their order.
   *
   * @throws A `RedisReplyError` when the server refused it; anything else means that the connection is lost.
   */
  send(command: readonly string[]): Promise<unknown>;
  /** Aborted when the connection is lost or no longer wanted. */
  readonly signal: AbortSignal;
}

/** What the server answered instead of doing it. */
export class RedisReplyError extends StoreError {
  /** First word of the answer, such as `BUSYGROUP`, `OOM` or `ERR`. */
  readonly reply: string;

  constructor(cause: Error) {
    super("bus_unavailable", `Redis refused a command: ${cause.message}`, { cause });
    this.reply = cause.message.split(" ")[0] ?? "";
  }
}

interface KeepConnectedOptions {
  readonly url: string;
  /** Told to the server, for CLIENT LIST. */
  readonly name: string;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly onState: (connected: boolean) => void;
  /** Runs on each connection; ends by throwing when that is lost. */
  readonly work: (session: RedisSession) => Promise<void>;
}

/** The part of the library that is used here; its own types cover every command. */
interface Client {
  readonly isOpen: boolean;
  connect(): Promise<unknown>;
  sendCommand(args: readonly string[]): Promise<unknown>;
  destroy(): void;
  on(event: "error" | "end", listener: (error?: Error) => void): unknown;
}
interface Library {
  createClient(options: object): Client;
  readonly ErrorReply: new (...args: never[]) => Error;
}

/** @throws StoreError `packages_missing` where the optional package is not installed. */
export async function loadRedis(): Promise<Library> {
  try {
    return (await import("@redis/client")) as unknown as Library;
  } catch (cause) {
    const message =
      "EVENT_BUS_BACKEND is redis, and the package @redis/client is not installed; run `npm install @redis/client`.";
    throw new StoreError("packages_missing", message, { cause });
  }
}

/** Runs until the signal is aborted; never throws. */
export async function keepConnected(redis: Library, options: KeepConnectedOptions): Promise<void> {
  const { signal, log, onState } = options;
  let wasTold = false;
  for (let failures = 0; !signal.aborted; failures++) {
    const onReady = (): void => {
      failures = 0;
      onState(true);
      if (wasTold) log.info({ name: options.name }, "Redis is back.");
      wasTold = false;
    };
    try {
      await connectOnce(redis, options, onReady);
    } catch (error) {
      onState(false);
      if (!signal.aborted && !wasTold) {
        log.warn(
          { name: options.name, reason: messageOf(error) },
          "Redis is away; it is tried again until it is back.",
        );
      }
      wasTold = true;
    }
    await sleep(pauseMs(failures), undefined, { signal }).catch(() => undefined);
  }
  onState(false);
}

async function connectOnce(
  redis: Library,
  { url, name, signal, work }: KeepConnectedOptions,
  onReady: () => void,
): Promise<void> {
  const client = redis.createClient({
    url,
    name,
    RESP: 2,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: "disabled",
    // Its own deadline is a timer for each command, which costs more than the command; see `answered`.
    commandOptions: { timeout: undefined },
    socket: { reconnectStrategy: false, connectTimeout: ANSWER_DEADLINE_MS },
  });
  const lost = new AbortController();
  const lose = (error?: Error): void => lost.abort(error);
  client.on("error", lose);
  client.on("end", lose);
  const session: RedisSession = {
    signal: AbortSignal.any([signal, lost.signal]),
    send: (command) =>
      client.sendCommand(command).catch((error: Error) => {
        throw error instanceof redis.ErrorReply ? new RedisReplyError(error) : error;
      }),
  };
  const onAbort = (): void => close(client);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await withDeadline(ANSWER_DEADLINE_MS, () => client.connect());
    signal.throwIfAborted();
    onReady();
    await work(session);
    if (!signal.aborted)
      throw new StoreError("bus_unavailable", "The connection to Redis was lost.", { cause: lost.signal.reason });
  } finally {
    signal.removeEventListener("abort", onAbort);
    lose();
    close(client);
  }
}

function close(client: Client): void {
  if (client.isOpen) client.destroy();
}

/** Doubles up to the longest. A fifth is left to chance, so that replicas do not come back as one. */
function pauseMs(failures: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures, 10)) * (0.8 + 0.2 * Math.random());
}

/** The call's answer, or the end of the connection when there is none in time. */
export function answered<T>(work: Promise<T>, extraMs = 0): Promise<T> {
  return withDeadline(ANSWER_DEADLINE_MS + extraMs, () => work);
}
