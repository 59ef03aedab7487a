/**
 * What became of each row as its producer saw it, in a file that only grows: a line before each call and a line after
 * it. A row whose call has no second line, because the process was killed in between, is in doubt: it may have been
 * accepted. The file outlives the process that writes it.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import type { RowFacts } from "./sample-rows.ts";

/** `called` comes before the call, `answered` after it. */
export type OracleLine =
  | { readonly called: number; readonly life: number; readonly rows: readonly RowFacts[] }
  | { readonly answered: number; readonly accepted: number; readonly code?: string };

/** The producer's side. */
export class OracleWriter {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "a");
    writeSync(this.#file, "\n"); // Behind what the death of another process may have torn.
  }

  write(line: OracleLine): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }
}

/** The checker's side: the lines that came since the last call. */
export class OracleReader {
  readonly #path: string;
  #offset = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** A line that was torn by the producer's death is skipped: it tells of a call that was never made, or in doubt. */
  readNew(): OracleLine[] {
    const bytes = readFrom(this.#path, this.#offset);
    const end = bytes.lastIndexOf(10) + 1;
    this.#offset += end;
    return bytes
      .toString("utf8", 0, end)
      .split("\n")
      .flatMap((line) => parsed(line) ?? []);
  }
}

function parsed(line: string): OracleLine | undefined {
  try {
    return JSON.parse(line) as OracleLine;
  } catch {
    return undefined;
  }
}

/** What a file holds from a place on; nothing where there is no file. */
export function readFrom(path: string, offset: number): Buffer {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return Buffer.alloc(0);
  }
  const parts: Buffer[] = [];
  try {
    for (let at = offset; ; ) {
      const part = Buffer.allocUnsafe(1_048_576);
      const read = readSync(file, part, 0, part.length, at);
      if (read === 0) return Buffer.concat(parts);
      parts.push(part.subarray(0, read));
      at += read;
    }
  } finally {
    closeSync(file);
  }
}
