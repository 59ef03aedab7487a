/**
 * Ascending whole numbers as bytes: runs of neighbours, each as its distance from the one before and its length, both as
 * LEB128. A batch of acknowledgements takes one to three bytes a run.
 */

/** Numbers from `first` on, `count` of them. */
export interface Run {
  readonly first: number;
  readonly count: number;
}

/** Runs of numbers in any order; repeated ones count once. */
export function runsOf(numbers: readonly number[]): Run[] {
  const sorted = Float64Array.from(numbers).sort();
  const runs: { first: number; count: number }[] = [];
  for (const number of sorted) {
    const last = runs.at(-1);
    const end = last === undefined ? Number.NaN : last.first + last.count;
    if (number === end) last!.count++;
    else if (!(number < end)) runs.push({ first: number, count: 1 });
  }
  return runs;
}

/** The bytes of ascending runs, with one more number in front of them. */
export function encodeRuns(head: number, runs: Iterable<Run>): Buffer {
  const writer = new NumberWriter();
  writer.add(head);
  let end = 0;
  for (const { first, count } of runs) {
    writer.add(first - end);
    writer.add(count);
    end = first + count;
  }
  return writer.bytes();
}

/** What `encodeRuns` wrote. The bytes are known to be whole. */
export function decodeRuns(bytes: Uint8Array): { readonly head: number; readonly runs: Run[] } {
  let at = 0;
  const next = (): number => {
    let [value, scale] = [0, 1];
    for (; ; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const head = next();
  const runs: Run[] = [];
  let end = 0;
  while (at < bytes.length) {
    const first = end + next();
    const count = next();
    runs.push({ first, count });
    end = first + count;
  }
  return { head, runs };
}

/** Longest form of a safe integer. */
const MAX_NUMBER_BYTES = 8;

class NumberWriter {
  #buffer = Buffer.allocUnsafe(1_024);
  #size = 0;

  add(number: number): void {
    if (this.#size + MAX_NUMBER_BYTES > this.#buffer.length) {
      this.#buffer = Buffer.concat([this.#buffer], this.#buffer.length * 2);
    }
    let rest = number;
    while (rest >= 128) {
      this.#buffer[this.#size++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#size++] = rest;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size);
  }
}
