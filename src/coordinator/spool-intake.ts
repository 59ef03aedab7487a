/**
 * Accepts rows onto disk. A row is accepted when its record is durable; then it goes into its lane. While the circuit is
 * open and the lanes are full, rows are accepted on disk alone, and from then on they take the way over the disk, in
 * their order, until the reader has caught up with them. A start begins like that, with what an earlier process left.
 * So memory stays bounded, no row overtakes another one, and producers wait only while the database is slow or the
 * spool is full.
 */
import { setImmediate as immediate } from "node:timers/promises";
import { messageOf, StoreError } from "../errors/store-error.ts";
import type { CircuitState } from "../resilience/circuit-breaker.ts";
import { type Clock, pause } from "../resilience/clock.ts";
import type { Lanes } from "./lanes.ts";
import { MAX_WAITING_SUBMISSIONS, type OverflowStrategy } from "./memory-intake.ts";
import { decodeSpooledRow, encodeSpooledRow } from "./spool/row-codec.ts";
import type { SpoolLog, SpoolRecord } from "./spool/spool-log-port.ts";
import {
  type DropReason,
  type Intake,
  refusal,
  refusalBecause,
  type Submission,
  WaitingSubmission,
} from "./submission.ts";

export interface SpoolIntakeOptions {
  readonly lanes: Lanes;
  readonly overflow: Exclude<OverflowStrategy, "drop_oldest">;
  readonly log: SpoolLog;
  readonly clock: Clock;
  readonly circuit: () => CircuitState;
  readonly onAccepted: (rows: number) => void;
  readonly onDropped: (reason: DropReason, rows: number) => void;
  /** Rows came back from the disk into their lanes. */
  readonly onRead: () => void;
  readonly onError: (message: string, error: unknown) => void;
}

/** One append, and with it one sync: some ten milliseconds of a disk. */
const MAX_APPEND_ROWS = 16_000;
const MAX_APPEND_BYTES = 4 * 1_048_576;
/** Rows encoded before the event loop gets its turn: a millisecond or two. */
const ROWS_PER_TURN = 1_000;
/** An append must fit into the spool, and leave room for one that is being acknowledged. */
const APPENDS_PER_SPOOL = 4;
/** A full disk has no moment at which it tells of room. */
const FULL_DISK_PAUSE_MS = 1_000;

/** What one append brings: the records, and how many of them each submission gave. */
interface Chunk {
  readonly records: Uint8Array[];
  readonly parts: { readonly waiting: WaitingSubmission; readonly rows: number }[];
  bytes: number;
}

export class SpoolIntake implements Intake {
  readonly #options: SpoolIntakeOptions;
  readonly #waiting = new Set<WaitingSubmission>();
  readonly #ending = new AbortController();
  #lastAccepted: number;
  /** Records from here on are in no lane; undefined when all are. */
  #backlogFrom: number | undefined;
  #accepting: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  #change: PromiseWithResolvers<void> | undefined;
  /** Parts of the append under way: their producers cannot leave now. */
  #inAppend = new Set<WaitingSubmission>();

  constructor(options: SpoolIntakeOptions) {
    this.#options = options;
    this.#lastAccepted = options.log.nextSequence - 1;
    if (options.log.depth > 0) this.#fallBack(0);
  }

  get lastAccepted(): number {
    return this.#lastAccepted;
  }

  get oldestOutside(): number {
    return this.#backlogFrom ?? Number.POSITIVE_INFINITY;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  offer(submission: Submission): Promise<void> {
    if (this.#waiting.size >= MAX_WAITING_SUBMISSIONS) {
      this.#options.onDropped("queue_full", submission.rows.length);
      return Promise.reject(refusal(submission, "queue_full"));
    }
    const waiting = new WaitingSubmission(submission, (stopped) => {
      if (!this.#inAppend.has(stopped)) this.#refuse(stopped, refusal(stopped.submission, "aborted"), "wait_ended");
    });
    this.#waiting.add(waiting);
    this.#accepting ??= this.#acceptAll();
    return waiting.promise;
  }

  wake(): void {
    this.#change?.resolve();
    this.#change = undefined;
  }

  async close(): Promise<void> {
    this.#ending.abort(new StoreError("shutting_down", "The coordinator is stopping."));
    this.wake();
    await this.#accepting;
    for (const waiting of this.#waiting) this.#refuse(waiting, refusal(waiting.submission, "shutting_down"), "stopped");
    await this.#reading;
  }

  /** Resolves at the next `wake`. */
  #changed(): Promise<void> {
    this.#change ??= Promise.withResolvers<void>();
    return this.#change.promise;
  }

  async #acceptAll(): Promise<void> {
    // Callers of this turn share an append.
    await Promise.resolve();
    while (this.#waiting.size > 0 && !this.#ending.signal.aborted) {
      await this.#acceptSome().catch((error: unknown) => {
        this.#inAppend.clear();
        this.#refuseAll(asStoreError(error), "spool_failed");
      });
    }
    this.#accepting = undefined;
  }

  async #acceptSome(): Promise<void> {
    const { lanes, circuit, overflow } = this.#options;
    const isBehind = this.#backlogFrom !== undefined;
    if (!isBehind && lanes.room > 0) await this.#acceptChunk(Math.min(lanes.room, MAX_APPEND_ROWS), true);
    else if (isBehind || circuit() !== "closed") await this.#acceptChunk(MAX_APPEND_ROWS, false);
    else if (overflow === "error") {
      for (const waiting of this.#waiting)
        this.#refuse(waiting, refusal(waiting.submission, "queue_full"), "queue_full");
    } else await this.#changed();
  }

  async #acceptChunk(maxRows: number, isDirect: boolean): Promise<void> {
    const { lanes, log, clock } = this.#options;
    const chunk = await this.#collect(maxRows);
    const rows = chunk.records.length;
    if (isDirect) lanes.reserve(rows);
    const acceptedAt = clock.epochMs();
    const appended = await log.append(chunk.records, acceptedAt).catch(asStoreError);
    const involved = [...this.#inAppend];
    this.#inAppend.clear();
    if (!(appended instanceof StoreError)) this.#accepted(chunk, appended.first, acceptedAt, isDirect);
    else if (isDirect) lanes.release(rows);
    for (const waiting of involved) this.#letGo(waiting);
    if (appended instanceof StoreError) await this.#appendFailed(chunk, appended);
  }

  /** The next rows of those who wait, in their order; at least one. Whoever gave some cannot leave until it is decided. */
  async #collect(maxRows: number): Promise<Chunk> {
    const maxBytes = Math.min(MAX_APPEND_BYTES, this.#options.log.maxBytes / APPENDS_PER_SPOOL);
    const chunk: Chunk = { records: [], parts: [], bytes: 0 };
    for (const waiting of this.#waiting) {
      this.#inAppend.add(waiting);
      const before = chunk.records.length;
      const isWhole = await this.#collectFrom(waiting.submission, chunk, maxRows, maxBytes);
      const rows = chunk.records.length - before;
      if (rows > 0) chunk.parts.push({ waiting, rows });
      if (!isWhole) break;
    }
    return chunk;
  }

  /** True when all rows of the submission went in. */
  async #collectFrom(submission: Submission, chunk: Chunk, maxRows: number, maxBytes: number): Promise<boolean> {
    const { stream, rows, accepted } = submission;
    const { tenantId, dataset } = stream;
    const { records } = chunk;
    for (let at = accepted; at < rows.length; at++) {
      if (records.length === maxRows) return false;
      const record = encodeSpooledRow({ tenantId, dataset, row: rows[at] });
      if (chunk.bytes > 0 && chunk.bytes + record.byteLength > maxBytes) return false;
      records.push(record);
      chunk.bytes += record.byteLength;
      if (records.length % ROWS_PER_TURN === 0) await immediate();
    }
    return true;
  }

  #accepted(chunk: Chunk, first: number, acceptedAt: number, isReserved: boolean): void {
    const { lanes, onAccepted } = this.#options;
    const rows = chunk.records.length;
    // The reader may have caught up meanwhile.
    const isDirect = isReserved || (this.#backlogFrom === undefined && lanes.room >= rows);
    if (isDirect && !isReserved) lanes.reserve(rows);
    let sequence = first;
    for (const { waiting, rows: count } of chunk.parts) {
      const { submission } = waiting;
      const to = submission.accepted + count;
      for (; submission.accepted < to; submission.accepted++, sequence++) {
        if (isDirect) lanes.push(submission.stream, submission.rows[submission.accepted], sequence, acceptedAt);
      }
    }
    this.#lastAccepted = sequence - 1;
    if (!isDirect) this.#fallBack(first);
    onAccepted(rows);
    lanes.kick();
  }

  /** Producers who are done, or gave up while their rows were on their way, are told. */
  #letGo(waiting: WaitingSubmission): void {
    const { submission } = waiting;
    if (!this.#waiting.has(waiting)) return;
    if (submission.accepted === submission.rows.length) {
      this.#waiting.delete(waiting);
      waiting.resolve();
    } else if (submission.signal?.aborted) this.#refuse(waiting, refusal(submission, "aborted"), "wait_ended");
  }

  async #appendFailed(chunk: Chunk, error: StoreError): Promise<void> {
    const { log, overflow, clock } = this.#options;
    if (error.code !== "spool_full" || overflow === "error") {
      for (const { waiting } of chunk.parts) {
        this.#refuse(waiting, refusalBecause(waiting.submission, error), "spool_failed");
      }
      return;
    }
    const { signal } = this.#ending;
    const isDiskFull = error.details["reason"] === "disk";
    try {
      await (isDiskFull ? pause(clock, FULL_DISK_PAUSE_MS, signal) : log.waitForRoom(chunk.bytes, signal));
    } catch (reason) {
      if (!signal.aborted) this.#refuseAll(asStoreError(reason), "spool_failed");
    }
  }

  #refuse(waiting: WaitingSubmission, error: StoreError, reason: DropReason): void {
    const { rows, accepted } = waiting.submission;
    if (!this.#waiting.delete(waiting)) return;
    this.#options.onDropped(reason, rows.length - accepted);
    waiting.reject(error);
  }

  #refuseAll(error: StoreError, reason: DropReason): void {
    for (const waiting of this.#waiting) this.#refuse(waiting, refusalBecause(waiting.submission, error), reason);
  }

  /** From this record on rows take the way over the disk. */
  #fallBack(from: number): void {
    this.#backlogFrom ??= from;
    this.#reading ??= this.#readBacklog();
  }

  async #readBacklog(): Promise<void> {
    const { signal } = this.#ending;
    await Promise.resolve();
    while (!signal.aborted && this.#backlogFrom !== undefined) {
      const end = this.#lastAccepted + 1; // All before it is durable.
      if (!(await this.#readFrom(this.#backlogFrom))) continue;
      this.#backlogFrom = Math.max(this.#backlogFrom, end);
      if (this.#backlogFrom > this.#lastAccepted) this.#backlogFrom = undefined;
    }
    this.#reading = undefined;
    this.#options.onRead();
    this.wake();
  }

  /** True when the spool was read to its end, false when that failed or was ended. */
  async #readFrom(from: number): Promise<boolean> {
    const { log, clock, onError } = this.#options;
    const { signal } = this.#ending;
    try {
      for await (const records of log.read(from)) if (!(await this.#takeBack(records))) return false;
      return true;
    } catch (error) {
      onError("The spool cannot be read; it is tried again.", error);
      await pause(clock, FULL_DISK_PAUSE_MS, signal).catch(() => {});
      return false;
    }
  }

  /** False when the coordinator stops. */
  async #takeBack(records: readonly SpoolRecord[]): Promise<boolean> {
    const { lanes, onRead, onError } = this.#options;
    for (const { sequence, acceptedAt, record } of records) {
      while (lanes.room <= 0) {
        onRead();
        if (this.#ending.signal.aborted) return false;
        await this.#changed();
      }
      try {
        const { row, ...stream } = decodeSpooledRow(record);
        lanes.reserve(1);
        lanes.push(lanes.streamOf(stream), row, sequence, acceptedAt);
      } catch (error) {
        onError(`Record ${sequence} of the spool cannot be read; it stays there.`, error);
      }
      this.#backlogFrom = sequence + 1;
    }
    onRead();
    return !this.#ending.signal.aborted;
  }
}

function asStoreError(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  return new StoreError("internal", `The spool failed: ${messageOf(cause)}`, { cause });
}
