/**
 * Carries feedback within a process. `publish` only appends: subscribers are called in turns of the event loop of their
 * own, one event after the other, each through a bounded buffer that drops its oldest event. A subscriber that is slow
 * or fails loses its own feedback and costs nobody else anything.
 */
import type { FeedbackEvent } from "../contracts/feedback-event.ts";
import { requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";

/** An event as it travels in-process and over the webhook: the contract's fields and the store's own. */
export interface Feedback extends FeedbackEvent {
  readonly reason: string;
  /** queue_size / capacity. */
  readonly utilization: number;
}

export interface FeedbackSubscriber {
  /** For metrics and logs; of a bounded set. */
  readonly name: string;
  /** Events that wait at most; 256 unless given. */
  readonly capacity?: number;
  /** Called for one event at a time, in their order. */
  deliver(event: Feedback): void | Promise<void>;
}

type DeliveryOutcome = "delivered" | "failed" | "dropped";

interface FeedbackBusOptions {
  /** Told what became of each event at each subscriber. */
  readonly onOutcome?: (subscriber: string, outcome: DeliveryOutcome, error?: unknown) => void;
}

/** Feedback is about now: who is further behind than this needs the newest, not all. */
const DEFAULT_CAPACITY = 256;

export class FeedbackBus {
  readonly #options: FeedbackBusOptions;
  readonly #subscriptions = new Set<Subscription>();

  constructor(options: FeedbackBusOptions = {}) {
    requireFields("FeedbackBus", options, ["onOutcome"]);
    this.#options = options;
  }

  /** Adds a subscriber. The function that is given back takes it out again, with what waits for it. */
  subscribe(subscriber: FeedbackSubscriber): () => void {
    if (typeof subscriber?.deliver !== "function") {
      throw new StoreError("usage", "A subscriber of feedback needs a name and a function deliver.");
    }
    const subscription = new Subscription(subscriber, this.#options);
    this.#subscriptions.add(subscription);
    return () => {
      this.#subscriptions.delete(subscription);
      subscription.end();
    };
  }

  /** Hands an event to all subscribers without calling any of them. Never throws and never waits. */
  publish(event: Feedback): void {
    for (const subscription of this.#subscriptions) subscription.offer(event);
  }

  /** Resolves when every event published before was delivered, dropped or failed. */
  async drained(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.drained()));
  }
}

class Subscription {
  readonly #subscriber: FeedbackSubscriber;
  readonly #onOutcome: FeedbackBusOptions["onOutcome"];
  readonly #capacity: number;
  readonly #waiting: Feedback[] = [];
  #delivering: Promise<void> | undefined;
  #ended = false;

  constructor(subscriber: FeedbackSubscriber, { onOutcome }: FeedbackBusOptions) {
    this.#subscriber = subscriber;
    this.#onOutcome = onOutcome;
    this.#capacity = subscriber.capacity ?? DEFAULT_CAPACITY;
  }

  offer(event: Feedback): void {
    this.#waiting.push(event);
    if (this.#waiting.length > this.#capacity) {
      this.#waiting.shift();
      this.#onOutcome?.(this.#subscriber.name, "dropped");
    }
    this.#delivering ??= this.#deliverAll();
  }

  drained(): Promise<void> {
    return this.#delivering ?? Promise.resolve();
  }

  end(): void {
    this.#ended = true;
    this.#waiting.length = 0;
  }

  async #deliverAll(): Promise<void> {
    do {
      // Not a microtask: those run before the publisher's own next turn.
      await new Promise((resolve) => void setImmediate(resolve));
      const event = this.#waiting.shift();
      if (event !== undefined) await this.#deliver(event);
    } while (this.#waiting.length > 0 && !this.#ended);
    this.#delivering = undefined;
  }

  async #deliver(event: Feedback): Promise<void> {
    const { name } = this.#subscriber;
    try {
      await this.#subscriber.deliver(event);
      this.#onOutcome?.(name, "delivered");
    } catch (error) {
      this.#onOutcome?.(name, "failed", error);
    }
  }
}
