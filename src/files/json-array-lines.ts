/**
 * Splits a JSON array that arrives as bytes into its elements, each as a "line" of its own, numbered from 1, so that
 * what reads NDJSON reads it too. Only the element under way is in memory. It knows where an element ends, not whether it
 * is JSON: that costs the element alone; an array that is not one stops the reading.
 */
import { StoreError } from "../errors/store-error.ts";
import { type LineBatch, LineRest } from "./line-reader.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Reads the elements.
 *
 * @throws StoreError `body_invalid` where the text is no array, goes on after its end, or breaks off; a failure of the
 *   source. Either comes after all whole elements before it.
 */
export async function* readArrayElements(chunks: AsyncIterable<Buffer>): AsyncGenerator<LineBatch> {
  const scanner = new ArrayScanner();
  for await (const chunk of chunks) {
    const batch = scanner.scan(chunk);
    if (batch.lines.length > 0) yield batch;
    if (scanner.fault !== undefined) throw new StoreError("body_invalid", scanner.fault);
  }
  if (!scanner.hasEnded) {
    throw new StoreError("body_invalid", `The JSON array breaks off after element ${scanner.count}.`);
  }
}

type Place = "before" | "first" | "element" | "after";

class ArrayScanner {
  #place: Place = "before";
  /** Depth inside the element; the array itself does not count. */
  #depth = 0;
  #isInText = false;
  #isEscaped = false;
  /** Whether the element under way has a character that is no blank. */
  #hasContent = false;
  readonly #rest = new LineRest();
  /** Elements that have ended. */
  count = 0;
  /** Why the text is no array. */
  fault: string | undefined;

  get hasEnded(): boolean {
    return this.#place === "after";
  }

  /** The elements that end in this chunk. */
  scan(chunk: Buffer): LineBatch {
    const batch = { first: this.count + 1, lines: [] as LineBatch["lines"], hasNul: false };
    let start = 0;
    for (let at = 0; at < chunk.length && this.fault === undefined; at++) {
      const byte = chunk[at]!;
      if (this.#isInText) {
        this.#passText(byte);
        continue;
      }
      if (byte <= 0x20) continue;
      if (this.#place === "before" || this.#place === "after") {
        if (this.#place === "before" && byte === OPEN_ARRAY) this.#place = "first";
        else
          this.fault =
            this.#place === "before" ? "The body is no JSON array." : "The body goes on after its JSON array.";
        start = at + 1;
        continue;
      }
      if (this.#depth === 0 && (byte === COMMA || byte === CLOSE_ARRAY)) {
        this.#end(chunk.subarray(start, at), byte, batch);
        start = at + 1;
        continue;
      }
      this.#pass(byte);
    }
    if ((this.#place === "element" || this.#place === "first") && start < chunk.length) {
      this.#rest.add(Buffer.from(chunk.subarray(start)));
    }
    return batch;
  }

  #pass(byte: number): void {
    this.#place = "element";
    this.#hasContent = true;
    if (byte === QUOTE) this.#isInText = true;
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) this.#depth--;
    if (this.#depth < 0) this.fault = `Element ${this.count + 1} of the JSON array closes more than it opens.`;
  }

  #passText(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH) this.#isEscaped = true;
    else if (byte === QUOTE) this.#isInText = false;
  }

  #end(tail: Buffer, byte: number, batch: { first: number; lines: LineBatch["lines"] }): void {
    const isEmptyArray = byte === CLOSE_ARRAY && this.#place === "first";
    if (!this.#hasContent && !isEmptyArray) {
      this.fault = `Element ${this.count + 1} of the JSON array is missing.`;
      return;
    }
    if (this.#hasContent) {
      this.#rest.add(tail);
      batch.lines.push(oneLine(this.#rest.take(this.count + 1)));
      this.count++;
    }
    this.#hasContent = false;
    this.#place = byte === COMMA ? "element" : "after";
  }
}

/** An element may be written over several lines. Their ends stay: between tokens they are blanks, inside a text a fault. */
function oneLine({ lines }: LineBatch): LineBatch["lines"][number] {
  if (lines.length === 1) return lines[0]!;
  const texts = lines.filter((line) => typeof line === "string");
  return texts.length === lines.length ? texts.join("\n") : lines.find((line) => typeof line !== "string")!;
}
