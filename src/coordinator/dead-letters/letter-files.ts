/**
 * The folder of dead letters. Each writing process has files of its own, `letters-….ndjson`, which only grow. Whoever wants
 * to take letters out first renames a file to `taken-….ndjson`: its writer notices that after the next fsync and writes
 * those letters again, elsewhere. So nobody waits for anybody, and no letter falls between two processes.
 */
import { createHash } from "node:crypto";
import { open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseLetter, type StoredLetter } from "./dead-letter.ts";

const NAME = /^(?:letters|taken)-(.+)\.ndjson$/;
const ID_CHARACTERS = 12;

/** A file of letters; `stem` orders them by the time at which they were begun. */
export interface LetterFile {
  readonly path: string;
  readonly stem: string;
}

/** A line of a file. */
export interface LetterLine {
  /** Its first hexadecimal digits of SHA-256; the same wherever the line stands. */
  readonly id: string;
  readonly text: string;
  /** Undefined where the line cannot be read as a letter. */
  readonly letter: StoredLetter | undefined;
}

/** Name of a new file. */
export function letterFileName(now: Date, unique: string): string {
  return `letters-${now.toISOString().replaceAll(/[-:.]/g, "")}-${unique}.ndjson`;
}

/** The files of a folder, oldest first; none where there is no folder. */
export async function listLetterFiles(folder: string): Promise<LetterFile[]> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  return entries
    .map((entry) => ({ path: join(folder, entry), stem: NAME.exec(entry)?.[1] ?? "" }))
    .filter(({ stem }) => stem !== "")
    .sort((a, b) => (a.stem < b.stem ? -1 : 1));
}

/** The lines of a file. One that is torn at the end was never said to be kept, and is left out. */
export async function readLetterFile(path: string): Promise<LetterLine[]> {
  const bytes = await readFile(path);
  const lines: LetterLine[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
    const text = bytes.toString("utf8", start, end);
    start = end + 1;
    if (text.trim() === "") continue;
    const id = createHash("sha256").update(text).digest("hex").slice(0, ID_CHARACTERS);
    lines.push({ id, text, letter: parseLetter(text) });
  }
  return lines;
}

/** The lines of all files, file by file; a file that is taken or done meanwhile is looked for once more. */
export async function* readLetterFiles(folder: string): AsyncGenerator<LetterLine[]> {
  for (const { path, stem } of await listLetterFiles(folder)) {
    const lines = await readLetterFile(path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      const moved = (await listLetterFiles(folder)).find((file) => file.stem === stem);
      return moved === undefined ? [] : readLetterFile(moved.path);
    });
    yield lines;
  }
}

/** Makes a file nobody else's; where it is then. */
export async function takeLetterFile(folder: string, { path, stem }: LetterFile): Promise<string> {
  const taken = join(folder, `taken-${stem}.ndjson`);
  if (path !== taken) {
    await rename(path, taken);
    await syncPath(folder);
  }
  return taken;
}

/** Replaces what a taken file holds, at once and durably; without lines it goes. */
export async function rewriteLetterFile(folder: string, path: string, lines: readonly LetterLine[]): Promise<void> {
  if (lines.length === 0) await rm(path, { force: true });
  else {
    const draft = `${path}.new`;
    const handle = await open(draft, "w", 0o600);
    try {
      await handle.writeFile(lines.map(({ text }) => `${text}\n`).join(""));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
  }
  await syncPath(folder);
}

/** Makes the names in a folder durable. */
export async function syncPath(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
