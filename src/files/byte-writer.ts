/**
 * Puts UTF-8 text together as bytes. Twice as fast as strings for rows of numbers, which a string would have to make,
 * join and encode. It grows as needed, so whoever fills it takes what is there often enough.
 */

/** Less is not worth growing from. */
const LEAST_BYTES = 16_384;
/** UTF-8 takes at most so many bytes for a UTF-16 code unit. */
const BYTES_PER_UNIT = 3;
/** Longer text is encoded by the runtime, which costs a call but is faster from there on. */
const SHORT_TEXT = 32;
/** Bytes of a decimal of {@link ByteWriter.quickDecimal}: nine digits, a point and four digits. */
const QUICK_BYTES = 14;
const QUICK_SCALE = 10_000;
const QUICK_DIGITS = 4;
/** So that whole parts have nine digits at most. */
const MAX_QUICK = 1e13;
const ZERO = 0x30;
const POINT = 0x2e;

export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  /** @param expectedBytes - How much will be written, about: much too little costs copies, much too much memory. */
  constructor(expectedBytes = 0) {
    this.#bytes = Buffer.allocUnsafe(Math.max(LEAST_BYTES, expectedBytes));
  }

  /** Appends bytes of a few dozen at most. */
  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    let at = this.#length;
    for (let index = 0; index < bytes.length; index++) this.#bytes[at++] = bytes[index]!;
    this.#length = at;
  }

  text(text: string): void {
    this.#reserve(text.length * BYTES_PER_UNIT);
    if (text.length > SHORT_TEXT || !this.#putAscii(text)) {
      this.#length += this.#bytes.write(text, this.#length);
    }
  }

  /**
   * Appends the shortest decimal that reads back as the same float, for the numbers that most prices are: not negative,
   * not too large, at most four decimal places. Decimals of up to 15 digits are all read back as floats of their own,
   * so the shortest one is known at once; the runtime's general way takes five times as long.
   *
   * @returns Whether it was such a number; else nothing was written.
   */
  quickDecimal(value: number): boolean {
    const scaled = Math.round(value * QUICK_SCALE);
    if (scaled / QUICK_SCALE !== value || scaled < 0 || scaled >= MAX_QUICK) return false;
    this.#reserve(QUICK_BYTES);
    const whole = Math.floor(scaled / QUICK_SCALE);
    this.#putDigits(whole, digitCount(whole));
    const fraction = scaled - whole * QUICK_SCALE;
    if (fraction !== 0) this.#putFraction(fraction);
    return true;
  }

  /** What was written since the last time, as bytes that nobody else writes to. */
  take(): Buffer {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
    return bytes;
  }

  #putAscii(text: string): boolean {
    let at = this.#length;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return false;
      this.#bytes[at++] = code;
    }
    this.#length = at;
    return true;
  }

  #putDigits(number: number, count: number): void {
    let rest = number;
    for (let at = this.#length + count - 1; at >= this.#length; at--) {
      const tens = Math.trunc(rest / 10);
      this.#bytes[at] = ZERO + rest - tens * 10;
      rest = tens;
    }
    this.#length += count;
  }

  #putFraction(fraction: number): void {
    let digits = fraction;
    let count = QUICK_DIGITS;
    while (digits % 10 === 0) {
      digits /= 10;
      count--;
    }
    this.#bytes[this.#length++] = POINT;
    this.#putDigits(digits, count);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(LEAST_BYTES, this.#bytes.length * 2, needed));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

function digitCount(number: number): number {
  let count = 1;
  for (let limit = 10; number >= limit; limit *= 10) count++;
  return count;
}
