import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openSpool } from "../../src/coordinator/spool/open-spool.ts";
import { LANES } from "../support/spool-producer.ts";

const PRODUCER = fileURLToPath(new URL("../support/spool-producer.ts", import.meta.url));
const KILLS = 25;
/** Kills are spread over so long: some hundred groups, and some dozen segments. */
const MAX_LIFE_MS = 120;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

let folder: string;
let oracle: string;
let child: ChildProcess | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mds-spool-kill-"));
  oracle = join(folder, "oracle");
});
afterAll(async () => {
  child?.kill("SIGKILL");
  await rm(folder, { recursive: true });
});

async function liveAndDie(seed: number): Promise<void> {
  child = fork(PRODUCER, [join(folder, "spool"), oracle, String(seed)]);
  const exited = once(child, "exit");
  await Promise.race([
    once(child, "message"),
    exited.then(() => Promise.reject(new Error("The producer ended by itself."))),
  ]);
  // Not a wait for something: the moment of the kill is what is varied.
  await wait((seed * 7_919) % MAX_LIFE_MS);
  child.kill("SIGKILL");
  await exited;
}

interface OracleLine {
  readonly first?: number;
  readonly texts?: readonly string[];
  readonly acknowledged?: readonly number[];
}

/** The text of each record that was accepted, by its number, and what was acknowledged, perhaps. */
async function readOracle(): Promise<{ texts: Map<number, string>; acknowledged: Set<number> }> {
  const texts = new Map<number, string>();
  const acknowledged = new Set<number>();
  let torn = 0;
  for (const line of (await readFile(oracle, "utf8")).split("\n")) {
    const told = parseLine(line);
    if (told === undefined) torn++;
    const { first = 0, texts: those = [], acknowledged: done = [] } = told ?? {};
    for (const [at, text] of those.entries()) texts.set(first + at, text);
    for (const sequence of done) acknowledged.add(sequence);
  }
  expect(torn).toBeLessThanOrEqual(KILLS);
  return { texts, acknowledged };
}

/** Undefined for a line that a kill has torn: it tells of nothing. */
function parseLine(line: string): OracleLine | undefined {
  try {
    return line === "" ? {} : (JSON.parse(line) as OracleLine);
  } catch {
    return undefined;
  }
}

it(`keeps every accepted record through ${KILLS} kills at random moments`, async () => {
  const gone = new Set<number>();
  let most = 0;
  for (let seed = 1; seed <= KILLS; seed++) {
    await liveAndDie(seed);
    const spool = await openSpool({ folder: join(folder, "spool"), maxBytes: 64_000_000, log: silent });
    const { texts, acknowledged } = await readOracle();
    const back = new Map<number, string>();
    for await (const batch of spool.read()) {
      for (const { sequence, record } of batch) back.set(sequence, Buffer.from(record).toString());
    }
    for (const [sequence, text] of back) {
      if (texts.has(sequence)) expect(text).toBe(texts.get(sequence));
      expect(gone.has(sequence)).toBe(false);
    }
    expect([...texts.keys()].filter((sequence) => !acknowledged.has(sequence) && !back.has(sequence))).toEqual([]);
    // Each lane is acknowledged from its beginning, so what comes back of it is its end, without a gap.
    for (let lane = 0; lane < LANES; lane++) {
      const numbers = [...back.keys()].filter((sequence) => sequence % LANES === lane);
      expect(numbers).toEqual(numbers.map((_, at) => numbers[0]! + at * LANES));
    }
    for (const sequence of texts.keys()) if (!back.has(sequence)) gone.add(sequence);
    expect(spool.damaged).toBe(0);
    expect(spool.nextSequence).toBeGreaterThan(Math.max(0, ...texts.keys()));
    most = Math.max(most, texts.size);
    await spool.close();
  }
  expect(most).toBeGreaterThan(1_000);
}, 120_000);
