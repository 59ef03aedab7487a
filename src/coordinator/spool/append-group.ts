/** Calls of `append` that share one fsync. */
import { FRAME_BYTES, writeFrame } from "./record-frame.ts";
import type { GroupMark } from "./segment-file.ts";
import type { Appended } from "./spool-log-port.ts";

/** What is fsynced together at most: as much as a disk takes in some ten milliseconds. A larger call is a group of its own. */
const MAX_GROUP_BYTES = 4_194_304;

/** One call that waits. */
export interface Append {
  readonly records: readonly Uint8Array[];
  readonly acceptedAt: number;
  /** Size on disk. */
  readonly bytes: number;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: unknown) => void;
}

export interface AppendGroup {
  readonly appends: readonly Append[];
  readonly bytes: number;
}

/** Takes the first calls off the queue; at least one, if there is one. */
export function takeGroup(queue: Append[]): AppendGroup {
  let [count, bytes] = [0, 0];
  for (const append of queue) {
    if (count > 0 && bytes + append.bytes > MAX_GROUP_BYTES) break;
    bytes += append.bytes;
    count++;
  }
  return { appends: queue.splice(0, count), bytes };
}

/** Makes groups into bytes, in a buffer that is used again. */
export class GroupEncoder {
  readonly #buffer = Buffer.allocUnsafeSlow(MAX_GROUP_BYTES);

  /** @param firstIndex - Place in the segment of the first record. The result holds until the next call. */
  encode(
    { appends, bytes }: AppendGroup,
    firstIndex: number,
  ): { readonly bytes: Buffer; readonly records: number; readonly marks: readonly GroupMark[] } {
    const target = bytes > MAX_GROUP_BYTES ? Buffer.allocUnsafeSlow(bytes) : this.#buffer;
    const marks: GroupMark[] = [];
    let [records, at] = [0, 0];
    for (const { records: those, acceptedAt } of appends) {
      marks.push({ at: records, offset: at, acceptedAt });
      for (const record of those) at = writeFrame(target, at, firstIndex + records++, acceptedAt, record);
    }
    return { bytes: target.subarray(0, at), records, marks };
  }
}

/** Size on disk of these records. */
export function sizeOf(records: readonly Uint8Array[]): number {
  let bytes = records.length * FRAME_BYTES;
  for (const record of records) bytes += record.length;
  return bytes;
}
