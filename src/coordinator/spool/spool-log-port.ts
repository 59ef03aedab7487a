/**
 * What the coordinator needs of a log on disk: records are accepted durably, read back in order, and acknowledged one by
 * one in any order. Records are opaque bytes; row-codec.ts makes rows of them. The only implementation is spool-log.ts.
 *
 * Sequence numbers are safe integers from 1 on, consecutive over the life of the folder, also across restarts. They are
 * numbers and not bigints because every row carries one: 2^53 of them last 285 years at a million rows a second.
 */

/** A record that was accepted and is not acknowledged yet. */
export interface SpoolRecord {
  readonly sequence: number;
  /** When it was accepted, as given to `append`: milliseconds since the epoch. */
  readonly acceptedAt: number;
  readonly record: Uint8Array;
}

/** The result of an append. */
export interface Appended {
  /** Sequence number of the first record; the others follow without a gap. */
  readonly first: number;
}

/** An append-only log of bounded size, owned by one process. */
export interface SpoolLog {
  /**
   * Accepts records: all of them or, when it rejects, none (a crash in between may leave some). Resolves when they are on disk (fsynced; calls at the same
   * time share one fsync). Calls are numbered in the order in which they are made.
   *
   * @param acceptedAt - Milliseconds since the epoch; unless given, now.
   * @throws StoreError `spool_full` at once when they would exceed the bound, or when the disk is full (then nothing of
   *   them stays); `spool_unavailable` when the disk fails; `usage` after `close` or for a record that is too large.
   */
  append(records: readonly Uint8Array[], acceptedAt?: number): Promise<Appended>;

  /**
   * Resolves when so many bytes would be accepted, as far as the bound goes. A full disk has no such moment: after a
   * `spool_full` whose `details.reason` is `disk`, try again after a pause.
   *
   * @throws The signal's reason.
   */
  waitForRoom(bytes: number, signal?: AbortSignal): Promise<void>;

  /**
   * The unacknowledged records from a sequence number on (unless given, all), in order and in batches of bounded size,
   * up to the last one that is durable when the reader gets there. This is the recovery at a start, and the way back to
   * records that were accepted while the queue in memory was full. A record that is acknowledged while its batch is on
   * the way may still come. Acknowledging what was read while reading on is what it is made for.
   */
  read(from?: number): AsyncIterable<readonly SpoolRecord[]>;

  /**
   * Says that records are in the database or in the dead letters. Never fails and never waits: it reaches the disk soon
   * after (see docs/decisions/spool.md for what a crash in between means). Unknown and repeated numbers do nothing, and
   * neither does a call after `close`: those records come again.
   *
   * Of two records of one key acknowledge the older one first, or both in one call: a crash keeps a beginning of
   * the acknowledgements, and replaying only the older one would undo the newer.
   */
  acknowledge(sequences: ArrayLike<number>): void;

  /** Sequence number that the next record gets. */
  readonly nextSequence: number;
  /** Records that are accepted and not acknowledged. */
  readonly depth: number;
  /** Size on disk, with what is being written. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** When the oldest unacknowledged record was accepted: milliseconds since the epoch; undefined when there is none. */
  readonly oldestAcceptedAt: number | undefined;
  /** Accepted records that could not be read any more since the start: a damaged disk. Their segments were kept aside. */
  readonly damaged: number;
  /** Why the last append failed, until one succeeds. */
  readonly fault: unknown;

  /** Waits for what is being written, makes acknowledgements durable and gives up the folder. Unacknowledged records stay. */
  close(): Promise<void>;
}
