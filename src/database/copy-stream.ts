/** COPY over a connection of one's own, as bytes that somebody else encoded or decodes. No deadlines, no retries. */
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pgCopyStreams from "pg-copy-streams";
import type { Connection } from "./pool.ts";

/** Sends chunks as one `copy … from stdin`; an abort ends it and nothing is stored. */
export async function copyIn(
  client: Connection,
  statement: string,
  chunks: Iterable<Buffer>,
  signal?: AbortSignal,
): Promise<void> {
  await pipeline(chunks, client.query(pgCopyStreams.from(statement)), { signal });
}

/** All that a `copy … to stdout` gives, to be sent back by `copyIn`. */
export async function collectCopy(client: Connection, statement: string): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of client.query(pgCopyStreams.to(statement))) chunks.push(chunk as Buffer);
  return chunks;
}

/** Reads all that a `copy … to stdout` gives and drops it; the number of bytes. */
export async function drainCopy(client: Connection, statement: string): Promise<number> {
  const stream: Readable = client.query(pgCopyStreams.to(statement));
  let bytes = 0;
  for await (const chunk of stream) bytes += (chunk as Buffer).length;
  return bytes;
}
