/**
 * All lanes of a coordinator and the one bound on their rows together: from acceptance until a row is stored or given up
 * it is held, whether it waits or is under way.
 */
import type { Lane } from "./lane.ts";
import { laneOf, streamHash } from "./lane-of.ts";
import { isSame, type RowGroup, type Stream } from "./row-queue.ts";

/** A stream with the part of the hash that all its rows share. */
export interface HashedStream extends Stream {
  readonly hash: number;
}

export class Lanes {
  readonly capacity: number;
  readonly #lanes: readonly Lane[];
  #held = 0;
  #emptied: PromiseWithResolvers<void> | undefined;
  #lastStream: HashedStream | undefined;

  constructor(lanes: readonly Lane[], capacity: number) {
    this.#lanes = lanes;
    this.capacity = capacity;
  }

  get count(): number {
    return this.#lanes.length;
  }

  /** Rows held. */
  get held(): number {
    return this.#held;
  }

  get room(): number {
    return this.capacity - this.#held;
  }

  /** Ordinal of the oldest row that is in a lane; infinite when there is none. */
  get oldest(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const lane of this.#lanes) oldest = Math.min(oldest, lane.oldest);
    return oldest;
  }

  streamOf(stream: Stream): HashedStream {
    if (this.#lastStream === undefined || !isSame(this.#lastStream, stream)) {
      const { tenantId, dataset } = stream;
      this.#lastStream = { tenantId, dataset, hash: streamHash(stream) };
    }
    return this.#lastStream;
  }

  /** Takes room for rows that come now or soon. There must be as much. */
  reserve(rows: number): void {
    this.#held += rows;
  }

  /** Gives room back: rows are done, dropped, or do not come. */
  release(rows: number): void {
    this.#held -= rows;
    if (this.#held > 0) return;
    this.#emptied?.resolve();
    this.#emptied = undefined;
  }

  /** Resolves when no row is held. */
  emptied(): Promise<void> {
    if (this.#held === 0) return Promise.resolve();
    this.#emptied ??= Promise.withResolvers<void>();
    return this.#emptied.promise;
  }

  /** Puts a row, for which there is room reserved, into its lane. */
  push(stream: HashedStream, row: unknown, ordinal: number, acceptedAt: number): void {
    this.#lanes[this.#placeOf(stream, row)]!.push(stream, row, ordinal, acceptedAt);
  }

  /** Drops the oldest row that is not under way; false when there is none. */
  dropOldest(): boolean {
    let lane: Lane | undefined;
    for (const one of this.#lanes)
      if (one.oldestWaiting < (lane?.oldestWaiting ?? Number.POSITIVE_INFINITY)) lane = one;
    if (lane === undefined) return false;
    lane.dropOldest();
    this.#held--;
    return true;
  }

  /** Lets every worker look at its queue. */
  kick(): void {
    for (const lane of this.#lanes) lane.kick();
  }

  /** Rows up to this ordinal are written as soon as they can be. */
  flushTo(ordinal: number): void {
    for (const lane of this.#lanes) lane.flushTo(ordinal);
  }

  /** Resolves when no lane has anything under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.settled));
  }

  /** Takes out all that is not done. */
  takeLeft(): RowGroup[] {
    return this.#lanes.flatMap((lane) => lane.takeLeft());
  }

  #placeOf({ hash, dataset }: HashedStream, row: unknown): number {
    try {
      return laneOf(hash, dataset, row, this.#lanes.length);
    } catch {
      return 0; // A row whose fields cannot even be read has no key.
    }
  }
}
