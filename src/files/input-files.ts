/** Which files are read: names as they are, patterns expanded in order of name, `-` for standard input. */
import { existsSync } from "node:fs";
import { glob, stat } from "node:fs/promises";
import { StoreError } from "../errors/store-error.ts";

const PATTERN = /[*?[{]/;

/** Whether a name stands for any number of files, and is not that of one. */
export function isPattern(name: string): boolean {
  return PATTERN.test(name) && !existsSync(name);
}

/** The part of a pattern before its first segment that has a wildcard: a folder. */
export function fixedPart(pattern: string): string {
  const at = pattern.search(PATTERN);
  return at < 0 ? pattern : pattern.slice(0, pattern.lastIndexOf("/", at) + 1);
}

/**
 * Files in the order given, each once. Whether a named one exists shows when it is read.
 * @throws StoreError `usage` for a pattern that matches no file.
 */
export async function inputFiles(names: readonly string[]): Promise<readonly string[]> {
  const files = new Set<string>();
  for (const name of names) for (const file of isPattern(name) ? await matching(name) : [name]) files.add(file);
  return [...files];
}

async function matching(pattern: string): Promise<string[]> {
  const files: string[] = [];
  for await (const name of glob(pattern)) if (!(await stat(name)).isDirectory()) files.push(name);
  if (files.length === 0) throw new StoreError("usage", `No file matches ${pattern}.`);
  return files.sort();
}
