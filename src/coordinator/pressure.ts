/**
 * How hard producers may push, from how full the queue is.
 *
 *   ok    size <= low watermark
 *   soft  low watermark < size < high watermark
 *   hard  high watermark <= size
 *
 * The level is the region, in both directions; it begins as ok. Entering another region is a crossing and gives one event,
 * of the region entered: a jump over both watermarks is one crossing, `hard` (or `ok`), without a `soft` in between.
 * So `soft` comes in two ways, and its reason says which: the queue fills up over the low watermark (`queue_filling`),
 * or drains below the high one (`queue_draining`). There is no hysteresis: a queue that sways about a watermark crosses
 * it each time, at most once a batch, and subscribers' bounded buffers keep the newest.
 */
import type { FeedbackLevel } from "../contracts/feedback-event.ts";

/** Why a level was entered. */
export type FeedbackReason = "queue_filling" | "queue_high_watermark" | "queue_draining" | "queue_recovered";

interface Crossing {
  readonly level: FeedbackLevel;
  readonly reason: FeedbackReason;
}

export class Pressure {
  readonly #low: number;
  readonly #high: number;
  #level: FeedbackLevel = "ok";

  /** @param watermarks - In rows. */
  constructor(watermarks: { readonly low: number; readonly high: number }) {
    this.#low = watermarks.low;
    this.#high = watermarks.high;
  }

  get level(): FeedbackLevel {
    return this.#level;
  }

  /** The crossing that this size means, if it means one. */
  update(size: number): Crossing | undefined {
    const level = size >= this.#high ? "hard" : size <= this.#low ? "ok" : "soft";
    const before = this.#level;
    if (level === before) return undefined;
    this.#level = level;
    return { level, reason: reasonOf(level, before) };
  }
}

function reasonOf(level: FeedbackLevel, before: FeedbackLevel): FeedbackReason {
  switch (level) {
    case "hard":
      return "queue_high_watermark";
    case "ok":
      return "queue_recovered";
    case "soft":
      return before === "ok" ? "queue_filling" : "queue_draining";
  }
}
