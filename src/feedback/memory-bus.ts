/**
 * The event bus within one process: the same promises as the one on Redis, for a store that runs alone and for tests.
 * What it holds ends with the process.
 */
import type { EventEnvelope } from "../contracts/event-envelope.ts";
import { deliver } from "./deliver.ts";
import {
  type BusHealth,
  CLOSE_TIMEOUT_MS,
  type ConsumeOptions,
  type Consumption,
  type Delivery,
  type EventBus,
  type PublishOutcome,
} from "./event-bus.ts";
import { settledWithin } from "./settled-within.ts";

/** Events that a stream keeps: a few hundred kB, and hours of crossings of a watermark. */
const DEFAULT_STREAM_EVENTS = 1_000;

interface MemoryBusOptions {
  /** Events that each stream keeps at most; the oldest go. */
  readonly streamEvents?: number;
}

interface Group {
  next: number;
  /** Events that were delivered and not handled, with who has them. */
  readonly pending: Map<number, MemoryConsumption>;
}

interface Stream {
  events: string[];
  /** Number of `events[0]`. */
  first: number;
  readonly groups: Map<string, Group>;
  readonly waiting: Set<() => void>;
}

export class MemoryBus implements EventBus {
  readonly backend = "inmem";
  readonly #streamEvents: number;
  readonly #streams = new Map<string, Stream>();
  #closed = false;

  constructor({ streamEvents = DEFAULT_STREAM_EVENTS }: MemoryBusOptions = {}) {
    this.#streamEvents = streamEvents;
  }

  publish(name: string, event: EventEnvelope): Promise<PublishOutcome> {
    if (this.#closed) return Promise.resolve("dropped");
    const stream = this.#stream(name);
    stream.events.push(JSON.stringify(event));
    if (stream.events.length > this.#streamEvents) {
      stream.events.shift();
      stream.first++;
    }
    wake(stream);
    return Promise.resolve("success");
  }

  consume(options: ConsumeOptions): Consumption {
    return new MemoryConsumption(this.#stream(options.stream), options);
  }

  health(): BusHealth {
    return { connected: !this.#closed, buffered: 0, dropped: 0 };
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  #stream(name: string): Stream {
    const found = this.#streams.get(name) ?? { events: [], first: 0, groups: new Map(), waiting: new Set() };
    this.#streams.set(name, found);
    return found;
  }
}

class MemoryConsumption implements Consumption {
  readonly ready = Promise.resolve();
  readonly #stream: Stream;
  readonly #options: ConsumeOptions;
  readonly #group: Group;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #closed = false;

  constructor(stream: Stream, options: ConsumeOptions) {
    const { group, from = group === undefined ? "now" : "oldest" } = options;
    const fresh: Group = { next: from === "now" ? endOf(stream) : stream.first, pending: new Map() };
    this.#group = (group !== undefined && stream.groups.get(group)) || fresh;
    if (group !== undefined) stream.groups.set(group, this.#group);
    this.#stream = stream;
    this.#options = options;
    this.#running = this.#run();
  }

  async close({ timeoutMs = CLOSE_TIMEOUT_MS }: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#stopping.abort();
    wake(this.#stream);
    await settledWithin(this.#running, timeoutMs);
    this.#closed = true;
    wake(this.#stream);
  }

  async #run(): Promise<void> {
    await this.ready; // so that the caller has this object before its handler is called
    while (!this.#stopping.signal.aborted) {
      const at = this.#take();
      if (at === undefined) {
        await new Promise<void>((resolve) => this.#stream.waiting.add(resolve));
        continue;
      }
      const delivery: Delivery = { entryId: `${at}-0`, data: this.#stream.events[at - this.#stream.first]! };
      const isDone = await deliver(this.#options, delivery, this.#stopping.signal);
      if (isDone && this.#group.pending.get(at) === this) this.#group.pending.delete(at);
    }
  }

  /** The number of the next event: what a closed consumer left, before what is new. */
  #take(): number | undefined {
    const { pending } = this.#group;
    for (const at of [...pending.keys()].sort((a, b) => a - b)) {
      if (at < this.#stream.first) pending.delete(at);
      else if (pending.get(at)!.#closed) {
        pending.set(at, this);
        return at;
      }
    }
    const next = Math.max(this.#group.next, this.#stream.first);
    if (next >= endOf(this.#stream)) return undefined;
    this.#group.next = next + 1;
    pending.set(next, this);
    return next;
  }
}

function endOf({ first, events }: Stream): number {
  return first + events.length;
}

function wake({ waiting }: Stream): void {
  const all = [...waiting];
  waiting.clear();
  for (const resolve of all) resolve();
}
