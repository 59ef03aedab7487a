/**
 * A process that writes into a spool until it is killed. Arguments: the folder, the oracle file, a seed. Several producers
 * append records of random sizes; what the spool accepted goes to the oracle file before anything else happens, one line a
 * call: first sequence number, and the records' texts. Records are acknowledged in order, lane by lane, behind the producers,
 * and the oracle file is told before.
 */
import { openSync, writeSync } from "node:fs";
import { openSpool } from "../../src/coordinator/spool/open-spool.ts";

export const LANES = 4;
const PRODUCERS = 8;
/** Small, so that many kills hit the end of a segment and the beginning of the next. */
const SEGMENT_BYTES = 20_000;
/** Records that wait before the oldest are acknowledged. */
const BACKLOG = 400;

/** Numbers that only look random (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

async function main(folder: string, oraclePath: string, seed: number): Promise<void> {
  const random = randomFrom(seed);
  const oracle = openSync(oraclePath, "a");
  writeSync(oracle, "\n"); // Ends the line that the kill of the one before has torn.
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const spool = await openSpool({ folder, maxBytes: 64_000_000, segmentBytes: SEGMENT_BYTES, log: silent });
  const lanes: number[][] = Array.from({ length: LANES }, () => []);
  for await (const batch of spool.read()) for (const { sequence } of batch) lanes[sequence % LANES]!.push(sequence);
  for (const lane of lanes) lane.sort((a, b) => a - b);
  process.send?.("running");

  const produce = async (producer: number): Promise<never> => {
    for (let call = 0; ; call++) {
      const texts = Array.from({ length: 1 + Math.floor(random() * 20) }, (_, at) =>
        `${seed}/${producer}/${call}/${at}/`.padEnd(Math.floor(random() * 300), "x"),
      );
      const { first } = await spool.append(texts.map((text) => Buffer.from(text)));
      writeSync(oracle, `${JSON.stringify({ first, texts })}\n`);
      for (const at of texts.keys()) lanes[(first + at) % LANES]!.push(first + at);
      if (spool.depth > BACKLOG) {
        const lane = lanes[Math.floor(random() * LANES)]!.sort((a, b) => a - b);
        const acknowledged = lane.splice(0, 1 + Math.floor(random() * 100));
        writeSync(oracle, `${JSON.stringify({ acknowledged })}\n`);
        spool.acknowledge(acknowledged);
      }
    }
  };
  await Promise.all(Array.from({ length: PRODUCERS }, (_, producer) => produce(producer)));
}

const [folder, oraclePath, seed] = process.argv.slice(2);
if (oraclePath !== undefined) await main(folder!, oraclePath, Number(seed));
