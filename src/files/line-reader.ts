/**
 * Splits a stream of bytes into lines with their numbers. A line that is too long or not UTF-8 becomes a rejection in
 * its place, so that one bad line costs itself alone; a too long one is never held in memory. A CR before the LF stays
 * (a quoted cell may need it). Lines share memory with their block: keep a copy of what outlives the batch.
 */
import { isAscii, isUtf8 } from "node:buffer";
import type { Rejection } from "../datasets/dataset.ts";

/** Longest line, in bytes without its end: a row with the longest JSON value, three bytes a character, and no more is buffered. */
export const MAX_LINE_BYTES = 4_194_304;
/** How much of a line that is not read a report shows. */
const PREVIEW_BYTES = 200;

const LF = 0x0a;

/** A line that cannot be read as text. */
export interface UnreadableLine {
  readonly rejection: Rejection;
  /** What of it can be shown. */
  readonly raw: string;
}

/** Consecutive lines; the one at index `i` has the number `first + i`. */
export interface LineBatch {
  /** Number of the first line; a file's first is 1. */
  readonly first: number;
  /** Each line without its LF. */
  readonly lines: (string | UnreadableLine)[];
  /** Whether a NUL is among them. */
  readonly hasNul: boolean;
}

/**
 * Reads lines. Ends with the last line, whether or not an LF follows it; a failure of the source is passed on after
 * all whole lines before it.
 */
export async function* readLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<LineBatch> {
  const rest = new LineRest();
  let first = 1;
  for await (const chunk of chunks) {
    const firstEnd = chunk.indexOf(LF);
    if (firstEnd < 0) {
      rest.add(chunk);
      continue;
    }
    const blocks: LineBatch[] = [];
    let start = 0;
    if (!rest.isEmpty) {
      rest.add(chunk.subarray(0, firstEnd));
      blocks.push(rest.take(first));
      first++;
      start = firstEnd + 1;
    }
    const end = chunk.lastIndexOf(LF);
    if (end >= start) {
      const block = decodeBlock(chunk.subarray(start, end), first);
      first += block.lines.length;
      blocks.push(block);
    }
    if (end + 1 < chunk.length) rest.add(chunk.subarray(end + 1));
    yield blocks.length === 1 ? blocks[0]! : joined(blocks);
  }
  if (!rest.isEmpty) yield rest.take(first);
}

function joined(blocks: readonly LineBatch[]): LineBatch {
  return {
    first: blocks[0]!.first,
    lines: blocks.flatMap((block) => block.lines),
    hasNul: blocks.some((block) => block.hasNul),
  };
}

/** The begun line at the end of a chunk, until its end comes. Past the limit only a preview of it is kept. */
export class LineRest {
  #pieces: Buffer[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  add(piece: Buffer): void {
    if (this.#bytes <= MAX_LINE_BYTES) this.#pieces.push(piece);
    this.#bytes += piece.length;
    // One byte more may be the CR of the line's end.
    if (this.#bytes > MAX_LINE_BYTES + 1) {
      this.#pieces = [Buffer.from(Buffer.concat(this.#pieces).subarray(0, PREVIEW_BYTES))];
    }
  }

  /** The line as a batch of its own. */
  take(number: number): LineBatch {
    const bytes = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    const isCut = this.#bytes > MAX_LINE_BYTES + 1;
    this.#pieces = [];
    this.#bytes = 0;
    return isCut ? { first: number, lines: [tooLong(bytes)], hasNul: false } : decodeBlock(bytes, number);
  }
}

/** Decodes whole lines, all at once where they are what they should be. */
function decodeBlock(block: Buffer, first: number): LineBatch {
  const hasNul = block.includes(0);
  if (block.length > MAX_LINE_BYTES) return { first, lines: decodeEach(block), hasNul };
  if (isAscii(block)) return { first, lines: block.toString("latin1").split("\n"), hasNul };
  if (isUtf8(block)) return { first, lines: block.toString().split("\n"), hasNul };
  return { first, lines: decodeEach(block), hasNul };
}

function decodeEach(block: Buffer): (string | UnreadableLine)[] {
  const lines: (string | UnreadableLine)[] = [];
  let start = 0;
  for (;;) {
    const end = block.indexOf(LF, start);
    const line = end < 0 ? block.subarray(start) : block.subarray(start, end);
    lines.push(decodeLine(line));
    if (end < 0) return lines;
    start = end + 1;
  }
}

function decodeLine(line: Buffer): string | UnreadableLine {
  const hasCr = line[line.length - 1] === 0x0d;
  if (line.length - (hasCr ? 1 : 0) > MAX_LINE_BYTES) return tooLong(line);
  if (isUtf8(line)) return line.toString();
  const message = "The line is not text in UTF-8.";
  return { rejection: { code: "line_not_utf8", message }, raw: line.toString() };
}

function tooLong(line: Buffer): UnreadableLine {
  const message = `The line is longer than ${MAX_LINE_BYTES} bytes.`;
  return { rejection: { code: "line_too_long", message }, raw: `${line.toString("utf8", 0, PREVIEW_BYTES)}…` };
}
