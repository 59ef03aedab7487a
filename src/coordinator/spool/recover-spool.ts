/**
 * What a folder holds at the start: its segments, what of them is acknowledged, and how numbering goes on. Only the newest
 * segment can be torn, and only behind what was accepted; it is cut there. Nothing that may have been accepted is dropped
 * here: records that are missing or damaged are reported by whoever reads them.
 */
import { open, rm, stat } from "node:fs/promises";
import { readAcknowledgements } from "./acknowledgement-log.ts";
import type { Run } from "./number-runs.ts";
import { Segment } from "./segment.ts";
import { HEADER_BYTES, isHeader, listSegments, type SegmentName } from "./segment-file.ts";
import { readSegment, scanTail } from "./segment-reader.ts";

/** What the spool needs of a log. */
export interface SpoolLogger {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

export interface RecoveredSpool {
  /** Oldest first, without a gap between them. */
  readonly segments: Segment[];
  /** Sequence number that the next record gets. */
  readonly next: number;
}

/** Reads the state of a folder that this process owns. */
export async function recoverSpool(folder: string, log: SpoolLogger): Promise<RecoveredSpool> {
  const { next: known, runs, isWhole } = await readAcknowledgements(folder);
  if (!isWhole) log.warn({ folder }, "The end of the spool's acknowledgements is torn: some rows are written again.");
  const names = await listSegments(folder);
  const segments: Segment[] = [];
  for (const [at, name] of names.entries()) {
    const newer = names[at + 1];
    const segment =
      newer === undefined ? await openNewest(name, known, log) : await openOlder(name, newer.first - name.first, log);
    if (segment !== undefined) segments.push(segment);
  }
  for (const segment of segments) acknowledge(segment, runs);
  await learnTime(segments);
  return { segments, next: Math.max(known, segments.at(-1)?.end ?? 1) };
}

/** Where the next segment begins is where this one ends, whatever else its file holds. */
async function openOlder({ path, first }: SegmentName, count: number, log: SpoolLogger): Promise<Segment> {
  const { size } = await stat(path);
  await checkHeader(path, first, log);
  const segment = new Segment(path, first, HEADER_BYTES);
  segment.grow(count, Math.max(0, size - HEADER_BYTES));
  return segment;
}

/** @param known - A number below which all were given to accepted records, so that their loss is noticed. */
async function openNewest({ path, first }: SegmentName, known: number, log: SpoolLogger): Promise<Segment | undefined> {
  const { count, bytes, size } = await scanTail(path);
  const expected = Math.max(count, known - first);
  if (expected === 0 && size <= HEADER_BYTES) {
    await rm(path); // the crash came before its first record
    return undefined;
  }
  await checkHeader(path, first, log);
  const segment = new Segment(path, first, HEADER_BYTES);
  if (count < expected) {
    segment.grow(expected, Math.max(0, size - HEADER_BYTES));
    return segment;
  }
  if (size > bytes) {
    log.warn(
      { path, cutBytes: size - bytes, records: count },
      "The spool's newest segment ends in a torn record; it is cut.",
    );
    await cut(path, bytes);
  }
  segment.grow(count, bytes - HEADER_BYTES);
  return segment;
}

async function checkHeader(path: string, first: number, log: SpoolLogger): Promise<void> {
  const handle = await open(path, "r");
  try {
    const { buffer } = await handle.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    if (!isHeader(buffer, first))
      log.error({ path }, "The header of a spool segment is damaged; its records are read.");
  } finally {
    await handle.close();
  }
}

async function cut(path: string, bytes: number): Promise<void> {
  const handle = await open(path, "r+");
  try {
    await handle.truncate(bytes);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

function acknowledge(segment: Segment, runs: readonly Run[]): void {
  for (const { first, count } of runs) {
    const end = Math.min(first + count, segment.end);
    for (let sequence = Math.max(first, segment.first); sequence < end; sequence++) {
      segment.acknowledge(sequence - segment.first);
    }
  }
}

/** How old the oldest waiting record is; the times of the others are learnt when they are read. */
async function learnTime(segments: readonly Segment[]): Promise<void> {
  const oldest = segments.find((segment) => segment.unacknowledged > 0);
  if (oldest === undefined) return;
  // Reading takes note of times; damage is for those who want the records.
  const records = readSegment(oldest, oldest.lowest, async () => undefined);
  await records.next();
  await records.return(undefined);
}
