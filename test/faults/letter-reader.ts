/** Reads the dead letters of several folders as they come, and notices when some are gone that were there. */
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseLetter } from "../../src/coordinator/dead-letters/dead-letter.ts";
import type { FoundLetter, Violation } from "./ledger.ts";
import { readFrom } from "./oracle.ts";

export class LetterReader {
  readonly #folders: readonly string[];
  /** How far each file was read. */
  readonly #offsets = new Map<string, number>();

  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  /** The letters since the last call. What was there then must still be there. */
  readNew(violations: Violation[]): FoundLetter[] {
    const found: FoundLetter[] = [];
    for (const path of this.#files()) {
      const offset = this.#offsets.get(path) ?? 0;
      const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      if (size < offset)
        violations.push({ kind: "lost", text: `Of the letters in ${path} ${offset - size} bytes are gone.` });
      const bytes = readFrom(path, offset);
      const end = bytes.lastIndexOf(10) + 1;
      this.#offsets.set(path, Math.min(offset, size) + end);
      const pid = Number(path.split("-").at(-2));
      for (const line of bytes.toString("utf8", 0, end).split("\n")) {
        const letter = line === "" ? undefined : parseLetter(line);
        if (letter !== undefined) found.push({ pid, letter });
      }
    }
    return found;
  }

  /** Those that are there, and those that were. */
  #files(): Set<string> {
    const files = new Set(this.#offsets.keys());
    for (const folder of this.#folders) {
      mkdirSync(folder, { recursive: true });
      for (const name of readdirSync(folder)) files.add(join(folder, name));
    }
    return files;
  }
}
