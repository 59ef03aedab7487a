/** Counts the dead letters of a folder, of all processes. A file that did not change since the last count is not read. */
import { readFile, stat } from "node:fs/promises";
import { listLetterFiles } from "./letter-files.ts";

interface Counted {
  readonly size: number;
  readonly changedMs: number;
  readonly letters: number;
}

export class LetterCounter {
  readonly #folder: string;
  #files = new Map<string, Counted>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws an error of the file system when the folder cannot be read. */
  async count(): Promise<number> {
    const files = new Map<string, Counted>();
    let letters = 0;
    for (const { path } of await listLetterFiles(this.#folder)) {
      const facts = await stat(path).catch(() => undefined);
      if (facts === undefined) continue; // taken or done in this moment
      const before = this.#files.get(path);
      const isSame = before?.size === facts.size && before.changedMs === facts.mtimeMs;
      const counted = isSame ? before : await countFile(path, facts);
      files.set(path, counted);
      letters += counted.letters;
    }
    this.#files = files;
    return letters;
  }
}

async function countFile(path: string, { size, mtimeMs }: { size: number; mtimeMs: number }): Promise<Counted> {
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  let letters = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) letters++;
  return { size, changedMs: mtimeMs, letters };
}
