/** Which dead letters are meant. */
import type { StoredLetter } from "./dead-letter.ts";
import type { LetterLine } from "./letter-files.ts";

/** All that is given has to fit; without anything every letter does. */
export interface LetterFilter {
  /** Beginning of its id. */
  readonly id?: string;
  readonly dataset?: string;
  readonly code?: string;
  /** UUID. */
  readonly tenantId?: string;
}

/** Whether a line holds a letter that is meant. */
export function isMeant(line: LetterLine, filter: LetterFilter): line is LetterLine & { letter: StoredLetter } {
  const { letter } = line;
  if (letter === undefined) return false;
  if (filter.id !== undefined && !line.id.startsWith(filter.id)) return false;
  if (filter.dataset !== undefined && letter.dataset !== filter.dataset) return false;
  if (filter.code !== undefined && letter.code !== filter.code) return false;
  return filter.tenantId === undefined || letter.tenantId === filter.tenantId;
}
