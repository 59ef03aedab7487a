/**
 * Decompresses gzip and zstd as a stream: one member or frame or many in a row. Gives all
 * that can be had before it reports data that breaks off or is damaged, however slowly it is read. (A plain pipe into
 * a zlib stream forgets what it still holds when an error comes, and ends silently after the first zstd frame.)
 */
import { createGunzip, createZstdDecompress } from "node:zlib";

/** Decompressed bytes given at a time. */
const BLOCK_BYTES = 65_536;

type Decompressor = ReturnType<typeof createGunzip> | ReturnType<typeof createZstdDecompress>;

/**
 * The decompressed bytes.
 *
 * @throws The decompressor's own error, its `code` being `Z_BUF_ERROR` where the data breaks off, else `Z_…` or `ZSTD_…`.
 */
export async function* decompress(
  compressed: AsyncIterable<Buffer>,
  compression: "gzip" | "zstd",
): AsyncGenerator<Buffer> {
  let member = new Member(compression);
  try {
    for await (const chunk of compressed) {
      let rest = chunk;
      for (;;) {
        if (compression === "gzip" && !member.isFed) rest = withoutPadding(rest);
        if (rest.length === 0) break;
        rest = yield* member.feed(rest);
        if (rest.length === 0) break;
        member.close();
        member = new Member(compression);
      }
    }
    yield* member.finish();
  } finally {
    member.close();
  }
}

/** Tapes and block devices pad with zeros, which gzip leaves aside; no member begins with one. */
function withoutPadding(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length && bytes[start] === 0) start++;
  return bytes.subarray(start);
}

/**
 * One decompressor. It is given input only when all its output has been taken, and its mark of one byte makes it rest
 * after each block until that is taken: so it never holds data when it fails.
 */
class Member {
  readonly #stream: Decompressor;
  #hasInput = false;
  #hasEnded = false;
  #error: unknown;
  #wake: () => void = () => undefined;

  constructor(compression: "gzip" | "zstd") {
    const options = { chunkSize: BLOCK_BYTES, readableHighWaterMark: 1 };
    this.#stream = compression === "gzip" ? createGunzip(options) : createZstdDecompress(options);
    this.#stream.on("readable", () => this.#wake());
    this.#stream.on("error", (error) => {
      this.#error = error;
      this.#wake();
    });
    this.#stream.on("end", () => {
      this.#hasEnded = true;
      this.#wake();
    });
  }

  /** Whether it was given anything. */
  get isFed(): boolean {
    return this.#hasInput;
  }

  /** Gives the output of some input; returns what of the input lies behind this member's end. */
  async *feed(input: Buffer): AsyncGenerator<Buffer, Buffer> {
    this.#hasInput = true;
    const before = this.#stream.bytesWritten;
    let isTaken = false;
    this.#stream.write(input, () => {
      isTaken = true;
      this.#wake();
    });
    yield* this.#outputUntil(() => isTaken || this.#hasEnded);
    return input.subarray(this.#stream.bytesWritten - before);
  }

  /** Tells the end of all input and gives what is left; fails where the member is not complete. */
  async *finish(): AsyncGenerator<Buffer> {
    if (!this.#hasInput) return;
    this.#stream.end();
    yield* this.#outputUntil(() => this.#hasEnded);
  }

  close(): void {
    this.#stream.destroy();
  }

  async *#outputUntil(isDone: () => boolean): AsyncGenerator<Buffer> {
    for (;;) {
      const block: Buffer | null = this.#stream.destroyed ? null : this.#stream.read();
      if (block !== null) yield block;
      else if (this.#error !== undefined) throw this.#error;
      else if (isDone()) return;
      else await this.#change();
    }
  }

  /** Waits for output, an end, an error, or input taken. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
