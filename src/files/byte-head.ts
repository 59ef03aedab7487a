/**
 * Looks at the first bytes of a stream before anything is done with it, and then gives the whole stream, those bytes
 * included. A failure met while looking is kept back until the bytes before it have been delivered.
 */

/** The first bytes of a stream, at least as many as were asked for unless it ended or failed before. */
export interface ByteHead {
  readonly bytes: Buffer;
  /** What ended the stream early, if anything did. */
  readonly failure?: { readonly error: unknown };
}

/**
 * Takes chunks until there are enough bytes.
 *
 * @param enough - Whether the bytes so far are enough to look at; asked once a chunk.
 */
export async function takeHead(iterator: AsyncIterator<Buffer>, enough: (bytes: Buffer) => boolean): Promise<ByteHead> {
  let bytes: Buffer = Buffer.alloc(0);
  try {
    while (!enough(bytes)) {
      const next = await iterator.next();
      if (next.done === true) break;
      bytes = bytes.length === 0 ? next.value : Buffer.concat([bytes, next.value]);
    }
  } catch (error) {
    return { bytes, failure: { error } };
  }
  return { bytes };
}

/** The whole stream again: the head, then what follows it. Closing the iterator is left to the caller. */
export async function* replay(head: ByteHead, iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (head.bytes.length > 0) yield head.bytes;
  if (head.failure !== undefined) throw head.failure.error;
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return;
    yield next.value;
  }
}
