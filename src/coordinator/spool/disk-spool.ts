/**
 * The spool: a write-ahead log in a folder of its own. Calls of `append` that come while a group is being fsynced share
 * the next fsync. Acknowledged segments are removed oldest first. After an fsync that failed, a segment gets no more
 * records: the kernel may have forgotten what it could not write, and a second fsync would say that all is well.
 * Decisions and their costs: docs/decisions/spool.md.
 */
import { link, rm } from "node:fs/promises";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { AcknowledgementLog } from "./acknowledgement-log.ts";
import { type Append, type AppendGroup, GroupEncoder, sizeOf, takeGroup } from "./append-group.ts";
import type { Run } from "./number-runs.ts";
import { MAX_RECORD_BYTES } from "./record-frame.ts";
import type { RecoveredSpool, SpoolLogger } from "./recover-spool.ts";
import type { Segment } from "./segment.ts";
import { HEADER_BYTES, isDiskFull, SegmentWriter, syncFolder } from "./segment-file.ts";
import { readSegment } from "./segment-reader.ts";
import type { Appended, SpoolLog, SpoolRecord } from "./spool-log-port.ts";

/** What callers that do not wait for each other may have in memory: some groups, so that the disk never waits. */
const MAX_QUEUED_BYTES = 67_108_864;

export interface DiskSpoolOptions {
  readonly folder: string;
  readonly maxBytes: number;
  /** A segment that is larger gets no more groups. */
  readonly segmentBytes: number;
  readonly log: SpoolLogger;
  /** Gives up the folder. */
  readonly release: () => Promise<void>;
}

export class DiskSpool implements SpoolLog {
  readonly #options: DiskSpoolOptions;
  /** Oldest first, without a gap; the last may be the one that is written. */
  readonly #segments: Segment[];
  readonly #acknowledgements: AcknowledgementLog;
  readonly #encoder = new GroupEncoder();
  #writer: SegmentWriter | undefined;
  #queue: Append[] = [];
  /** Bytes of the queue and of the group on its way. */
  #queuedBytes = 0;
  #diskBytes = 0;
  #depth = 0;
  #next: number;
  #writing: Promise<void> | undefined;
  #removing: Promise<void> | undefined;
  /** The newest segment should end although it is not full, to make room. */
  #endsEarly = false;
  readonly #waitingForRoom = new Set<() => void>();
  #closing: Promise<void> | undefined;
  /** The folder may be another process's by now. */
  #isLeft = false;
  #fault: unknown;
  #damaged = 0;
  #groups = 0;

  /** @internal Use openSpool. */
  constructor(options: DiskSpoolOptions, { segments, next }: RecoveredSpool) {
    this.#options = options;
    this.#segments = segments;
    this.#next = next;
    for (const segment of segments) {
      this.#diskBytes += segment.bytes;
      this.#depth += segment.unacknowledged;
    }
    this.#acknowledgements = new AcknowledgementLog(
      options.folder,
      () => ({ next: this.#next, runs: acknowledgedRuns(this.#segments) }),
      (error) => options.log.warn({ err: error }, "The spool's acknowledgements cannot be written; it goes on."),
    );
  }

  /** @internal Makes the acknowledgements a file of this life, and removes what is done. */
  async begin(): Promise<void> {
    await this.#acknowledgements.summarise();
    this.#tidy();
    await this.#removing;
  }

  get nextSequence(): number {
    return this.#next;
  }
  get depth(): number {
    return this.#depth;
  }
  get bytes(): number {
    return this.#diskBytes + this.#queuedBytes;
  }
  get maxBytes(): number {
    return this.#options.maxBytes;
  }
  get oldestAcceptedAt(): number | undefined {
    return this.#segments.find((segment) => segment.unacknowledged > 0)?.oldestAcceptedAt;
  }
  get fault(): unknown {
    return this.#fault;
  }
  get damaged(): number {
    return this.#damaged;
  }
  /** Groups that were fsynced since the start. */
  get groups(): number {
    return this.#groups;
  }

  append(records: readonly Uint8Array[], acceptedAt = Date.now()): Promise<Appended> {
    const bytes = sizeOf(records);
    const refusal = this.#refusal(records, bytes);
    if (refusal !== undefined) return Promise.reject(refusal);
    if (records.length === 0) return Promise.resolve({ first: this.#next });
    return new Promise((resolve, reject) => {
      this.#queue.push({ records, acceptedAt, bytes, resolve, reject });
      this.#queuedBytes += bytes;
      this.#startWriting();
    });
  }

  async waitForRoom(bytes: number, signal?: AbortSignal): Promise<void> {
    if (bytes + HEADER_BYTES > this.maxBytes) throw tooMuch(bytes, this.maxBytes);
    for (;;) {
      signal?.throwIfAborted();
      if (this.#closing !== undefined) throw closed();
      if (this.#hasRoom(bytes)) return;
      this.#endEarly();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waitingForRoom.add(resolve);
      signal?.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      this.#waitingForRoom.delete(resolve);
    }
  }

  async *read(from = 1): AsyncGenerator<readonly SpoolRecord[]> {
    let position = from;
    for (;;) {
      const segment = this.#segments.find((one) => one.end > position);
      if (segment === undefined) return;
      const { end } = segment;
      const read = segment.unacknowledged > 0 ? yield* this.#readOne(segment, Math.max(position, segment.first)) : end;
      position = Math.max(end, read);
    }
  }

  acknowledge(sequences: ArrayLike<number>): void {
    if (this.#isLeft) return;
    let segment: Segment | undefined;
    for (let at = 0; at < sequences.length; at++) {
      const sequence = sequences[at]!;
      if (segment === undefined || sequence < segment.first || sequence >= segment.end) {
        segment = this.#segments.find((one) => sequence >= one.first && sequence < one.end);
      }
      if (segment?.acknowledge(sequence - segment.first)) {
        this.#depth--;
        this.#acknowledgements.add(sequence);
      }
    }
    this.#tidy();
    if (this.#waitingForRoom.size > 0) this.#endEarly();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#writing;
    await this.#writer?.close();
    this.#writer = undefined;
    this.#isLeft = true;
    await this.#acknowledgements.close();
    this.#tidy();
    await this.#removing;
    this.#wake();
    await this.#options.release();
  }

  /** Why these records are not taken. */
  #refusal(records: readonly Uint8Array[], bytes: number): StoreError | undefined {
    if (this.#closing !== undefined) return closed();
    if (records.some((record) => record.length > MAX_RECORD_BYTES)) {
      return new StoreError(
        "usage",
        `A record is larger than ${MAX_RECORD_BYTES} bytes, the most that the spool takes.`,
      );
    }
    if (bytes + HEADER_BYTES > this.maxBytes) return tooMuch(bytes, this.maxBytes);
    if (this.#hasRoom(bytes)) return undefined;
    this.#endEarly();
    return new StoreError(
      "spool_full",
      `The spool in ${this.#options.folder} is full (${this.bytes} of ${this.maxBytes} bytes): the database has to take rows first, or MDS_SPOOL_MAX_BYTES has to grow.`,
      { details: { reason: "bound", bytes: this.bytes, maxBytes: this.maxBytes } },
    );
  }

  #hasRoom(bytes: number): boolean {
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > MAX_QUEUED_BYTES) return false;
    return this.bytes + bytes + HEADER_BYTES <= this.maxBytes;
  }

  /** Lets the newest segment go when all in it is acknowledged, for its bytes are missing. */
  #endEarly(): void {
    const segment = this.#writer?.segment;
    if (segment === undefined || segment.count === 0 || segment.unacknowledged > 0) return;
    this.#endsEarly = true;
    this.#startWriting();
  }

  #wake(): void {
    for (const resolve of this.#waitingForRoom) resolve();
  }

  #startWriting(): void {
    // Not at once: calls of the same turn of the event loop are to share the first fsync.
    this.#writing ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#write());
  }

  async #write(): Promise<void> {
    for (;;) {
      if (this.#endsEarly && this.#queuedBytes === 0) await this.#endSegment();
      this.#endsEarly = false;
      if (this.#queue.length === 0) break;
      await this.#writeGroup(takeGroup(this.#queue));
    }
    this.#writing = undefined;
  }

  async #writeGroup(group: AppendGroup): Promise<void> {
    try {
      const writer = await this.#writerFor(group.bytes);
      const { segment } = writer;
      let first = segment.end;
      const { bytes, records, marks } = this.#encoder.encode(group, segment.count);
      await writer.append(bytes, records, marks);
      this.#groups++;
      this.#next = segment.end;
      this.#depth += records;
      this.#diskBytes += group.bytes;
      this.#queuedBytes -= group.bytes;
      this.#setFault(undefined);
      for (const append of group.appends) {
        append.resolve({ first });
        first += append.records.length;
      }
    } catch (error) {
      this.#queuedBytes -= group.bytes;
      if (this.#writer?.isUsable === false) await this.#endSegment();
      const fault = spoolFault(error, this.#options.folder);
      this.#setFault(fault);
      for (const append of group.appends) append.reject(fault);
    }
    if (this.#waitingForRoom.size > 0) this.#wake();
  }

  #setFault(fault: StoreError | undefined): void {
    const { log } = this.#options;
    const before = this.#fault as StoreError | undefined;
    this.#fault = fault;
    if (fault !== undefined && fault.code !== before?.code)
      log.error({ err: fault }, "The spool does not accept rows.");
    if (fault === undefined && before !== undefined) log.info({}, "The spool accepts rows again.");
  }

  /** The writer of a segment that takes so many bytes more. */
  async #writerFor(bytes: number): Promise<SegmentWriter> {
    const segment = this.#writer?.segment;
    if (segment !== undefined && segment.count > 0 && segment.bytes + bytes > this.#options.segmentBytes) {
      await this.#endSegment();
    }
    if (this.#writer === undefined) {
      this.#writer = await SegmentWriter.create(this.#options.folder, this.#next);
      this.#segments.push(this.#writer.segment);
      this.#diskBytes += HEADER_BYTES;
    }
    return this.#writer;
  }

  /** The newest segment gets no more records; one without any goes. */
  async #endSegment(): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined) return;
    this.#writer = undefined;
    await writer.close();
    if (writer.segment.count === 0) {
      await rm(writer.segment.path, { force: true }).catch(() => undefined);
      this.#segments.pop();
      this.#diskBytes -= writer.segment.bytes;
    }
    this.#tidy();
    await this.#removing;
  }

  /** Removes the oldest segments while all in them is acknowledged. */
  #tidy(): void {
    if (this.#removing !== undefined || this.#removable() === undefined) return;
    this.#removing = this.#remove()
      .catch((error: unknown) => {
        this.#options.log.warn({ err: error }, "A spool segment that is done cannot be removed; it is tried again.");
      })
      .finally(() => {
        this.#removing = undefined;
      });
  }

  #removable(): Segment | undefined {
    const oldest = this.#segments[0];
    const isDone = oldest !== undefined && oldest !== this.#writer?.segment && oldest.unacknowledged === 0;
    return isDone ? oldest : undefined;
  }

  async #remove(): Promise<void> {
    for (let done = this.#removable(); done !== undefined; done = this.#removable()) {
      await rm(done.path, { force: true });
      // One after the other: a newer one must not be gone while an older one comes back after a power cut.
      await syncFolder(this.#options.folder);
      this.#segments.shift();
      this.#diskBytes -= done.bytes;
      this.#wake();
    }
  }

  /** Yields a segment's unacknowledged records; which sequence number comes next. */
  async *#readOne(segment: Segment, from: number): AsyncGenerator<readonly SpoolRecord[], number> {
    const { first } = segment;
    let next = from;
    try {
      for await (const batch of readSegment(segment, from - first, (lost, to) => this.#lose(segment, lost, to))) {
        const records: SpoolRecord[] = [];
        for (const { index, acceptedAt, from: begin, to } of batch.frames) {
          if (segment.isAcknowledged(index)) continue;
          records.push({ sequence: first + index, acceptedAt, record: batch.bytes.subarray(begin, to) });
        }
        next = first + batch.frames.at(-1)!.index + 1;
        if (records.length > 0) yield records;
      }
      return next;
    } catch (error) {
      if (segment.unacknowledged === 0) return segment.end; // acknowledged by others and removed meanwhile
      throw error instanceof StoreError ? error : spoolFault(error, this.#options.folder);
    }
  }

  /** Accepted records that are damaged: they are counted and told, and their segment stays under another name. */
  async #lose(segment: Segment, from: number, to: number): Promise<void> {
    const lost: number[] = [];
    for (let index = from; index < to; index++) if (!segment.isAcknowledged(index)) lost.push(segment.first + index);
    if (lost.length === 0) return;
    const kept = `${segment.path}.damaged`;
    const problem = await link(segment.path, kept).catch((error: NodeJS.ErrnoException) => error);
    const isKept = !(problem instanceof Error) || (problem as NodeJS.ErrnoException).code === "EEXIST";
    this.#damaged += lost.length;
    this.#options.log.error(
      { segment: segment.path, records: lost.length, first: lost[0], kept: isKept ? kept : undefined },
      `${lost.length} accepted rows in the spool are damaged and cannot be read; see docs/spool.md.`,
    );
    this.acknowledge(lost);
  }
}

function* acknowledgedRuns(segments: readonly Segment[]): Generator<Run> {
  for (const segment of segments) yield* segment.acknowledgedRuns();
}

function closed(): StoreError {
  return new StoreError("usage", "The spool is closed.");
}

function tooMuch(bytes: number, maxBytes: number): StoreError {
  return new StoreError("usage", `${bytes} bytes at once never fit a spool of ${maxBytes} bytes: bring fewer rows.`);
}

function spoolFault(error: unknown, folder: string): StoreError {
  if (isDiskFull(error)) {
    return new StoreError("spool_full", `The disk of the spool in ${folder} is full: make room on it.`, {
      cause: error,
      details: { reason: "disk" },
    });
  }
  return new StoreError("spool_unavailable", `The spool in ${folder} fails: ${messageOf(error)}.`, { cause: error });
}
