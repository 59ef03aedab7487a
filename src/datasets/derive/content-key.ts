/** The part of a key that is made of a row's texts, for datasets in which series and time do not tell rows apart. */
import { createHash } from "node:crypto";

const KEY_BYTES = 16;
const NULL_LENGTH = -1;

/**
 * The first 16 bytes, in hex, of SHA-256 over the texts, each as its length in bytes (int4, big-endian; -1 for null) and
 * its UTF-8 bytes: texts that are split differently never give the same bytes.
 */
export function contentKeyOf(texts: readonly (string | null)[]): string {
  const hash = createHash("sha256");
  const length = Buffer.alloc(4);
  for (const text of texts) {
    const bytes = text === null ? undefined : Buffer.from(text, "utf8");
    length.writeInt32BE(bytes?.length ?? NULL_LENGTH);
    hash.update(length);
    if (bytes !== undefined) hash.update(bytes);
  }
  return hash.digest("hex").slice(0, KEY_BYTES * 2);
}
