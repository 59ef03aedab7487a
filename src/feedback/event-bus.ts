/**
 * The event bus as everybody sees it: streams of envelopes, published without ever waiting and consumed at least once by
 * groups. What an event holds is not the bus's business; its text is passed on as it was published.
 */
import type { EventEnvelope } from "../contracts/event-envelope.ts";
import type { StoreError } from "../errors/store-error.ts";

/** `dropped`: given up unsent, because the buffer was full or the bus was closed; `failure`: refused by the server. */
export type PublishOutcome = "success" | "dropped" | "failure";

/** An event as a consumer gets it. */
export interface Delivery {
  /** The event's place in its stream; unique there, and growing. */
  readonly entryId: string;
  /** The envelope as JSON, unchecked. */
  readonly data: string;
}

export interface ConsumeOptions {
  readonly stream: string;
  /**
   * Consumers of one group share its events, and the group's place is kept: an event is delivered until somebody has
   * handled it. Without a group every event comes here, and nothing is remembered.
   */
  readonly group?: string;
  /** Name within the group; who comes back under it goes on with what it had begun. The machine's name unless given. */
  readonly consumer?: string;
  /** Where to begin when there is no place yet: `oldest` for a group and `now` without one, unless given. */
  readonly from?: "oldest" | "now";
  /**
   * Called with one event at a time. What it throws is told to `onError`, and the event is delivered again after a pause,
   * before any later one; an event that fails five times is given up.
   */
  readonly handle: (delivery: Delivery) => Promise<void> | void;
  readonly onError?: (error: StoreError) => void;
  /** After how long a silent consumer's events are taken over by others of its group; a minute unless given. */
  readonly claimAfterMs?: number;
}

/** A consumer that runs until it is closed. */
export interface Consumption {
  /** Resolves once its place is known, so that whatever is published from then on is delivered. */
  readonly ready: Promise<void>;
  /**
   * Ends it after the event under way, at the latest after the time (2 s unless given). An event that was not handled
   * by then stays the group's.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

export interface BusHealth {
  readonly connected: boolean;
  /** Events that wait to be sent. */
  readonly buffered: number;
  /** Events that were dropped so far. */
  readonly dropped: number;
}

export interface EventBus {
  readonly backend: "inmem" | "redis";
  /** Takes an event at once, whatever the state of the server; the promise tells what became of it and never rejects. */
  publish(stream: string, event: EventEnvelope): Promise<PublishOutcome>;
  consume(options: ConsumeOptions): Consumption;
  health(): BusHealth;
  /** Sends what is buffered, for 2 s at most, and ends; consumers are closed by those who started them. */
  close(): Promise<void>;
}

/** How long a close waits for what is under way, unless told otherwise. */
export const CLOSE_TIMEOUT_MS = 2_000;
