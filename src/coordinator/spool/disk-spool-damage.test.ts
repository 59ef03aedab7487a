import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { record, SpoolFolder, texts } from "../../../test/support/spool-folder.ts";

let folder: SpoolFolder;
const opened: SpoolFolder["open"] = (options) => folder.open(options);
const segmentPaths = () => folder.segments();

beforeEach(async () => {
  folder = await SpoolFolder.make();
});
afterEach(() => folder.remove());

describe("damage", () => {
  /** A closed spool with one segment of three records. */
  async function threeRecords(): Promise<{ path: string; bytes: Buffer }> {
    const spool = await opened();
    await spool.append([record("one"), record("two"), record("three")], 1_000);
    await spool.close();
    const [path] = await segmentPaths();
    return { path: path!, bytes: await readFile(path!) };
  }

  it("cuts a torn tail, wherever it is torn", async () => {
    const { path, bytes } = await threeRecords();
    const whole = bytes.length - 20 - "three".length;
    for (let size = whole; size < bytes.length; size++) {
      await rm(join(folder.path, "acknowledged.log"), { force: true }); // it would know that there were three
      await writeFile(path, bytes.subarray(0, size));
      const spool = await opened();
      expect(await texts(spool)).toEqual(["1:one", "2:two"]);
      expect(spool.damaged).toBe(0);
      expect((await stat(path)).size).toBe(whole);
      expect(await spool.append([record("next")])).toEqual({ first: 3 });
      await spool.close();
      expect(folder.errors).toEqual([]);
      for (const other of await segmentPaths()) await rm(other);
    }
  });

  it("finds every flipped bit, loses that record only, and says so", async () => {
    const { path, bytes } = await threeRecords();
    const begin = 24 + 20 + 3; // the second record
    for (let at = begin; at < begin + 23; at++) {
      for (let bit = 0; bit < 8; bit++) {
        for (const other of await segmentPaths()) await rm(other);
        await rm(join(folder.path, "acknowledged.log"), { force: true });
        await rm(`${path}.damaged`, { force: true });
        const flipped = Buffer.from(bytes);
        flipped[at]! ^= 1 << bit;
        await writeFile(path, flipped);
        folder.lines.length = 0;
        const spool = await opened();
        expect(await texts(spool)).toEqual(["1:one", "3:three"]);
        expect(spool.damaged).toBe(1);
        expect(folder.errors).toHaveLength(1);
        expect(await readFile(`${path}.damaged`)).toEqual(flipped);
        await spool.close();
      }
    }
  }, 60_000);

  it("notices accepted records that are gone from the end of the newest segment", async () => {
    const { path, bytes } = await threeRecords();
    await writeFile(path, bytes.subarray(0, bytes.length - 1));
    const spool = await opened();
    expect(await texts(spool)).toEqual(["1:one", "2:two"]);
    expect(spool.damaged).toBe(1);
    expect(await spool.append([record("next")])).toEqual({ first: 4 });
  });

  it("notices a segment that is gone from the middle", async () => {
    const spool = await opened({ segmentBytes: 100 });
    for (let at = 1; at <= 6; at++) await spool.append([Buffer.alloc(60, 64 + at)]);
    await spool.close();
    const paths = await segmentPaths();
    expect(paths.length).toBe(6);
    await rm(paths[2]!);
    const again = await opened();
    expect((await texts(again)).map((text) => text.slice(0, 3))).toEqual(["1:A", "2:B", "4:D", "5:E", "6:F"]);
    expect(again.damaged).toBe(1);
  });

  it("forgets a segment that was just being made", async () => {
    await writeFile(join(folder.path, "segment-0000000000000001.log"), "mdss");
    const spool = await opened();
    expect(await texts(spool)).toEqual([]);
    expect(await spool.append([record("a")])).toEqual({ first: 1 });
  });

  it("writes again what a torn file of acknowledgements does not tell", async () => {
    const spool = await opened();
    await spool.append([record("a"), record("b"), record("c")]);
    const file = join(folder.path, "acknowledged.log");
    const before = (await stat(file)).size;
    spool.acknowledge([1]);
    await vi.waitFor(async () => expect((await stat(file)).size).toBeGreaterThan(before));
    const afterFirst = (await stat(file)).size;
    spool.acknowledge([2]);
    await vi.waitFor(async () => expect((await stat(file)).size).toBeGreaterThan(afterFirst));
    const bytes = await readFile(file);
    await spool.close();
    const flipped = Array.from({ length: bytes.length - afterFirst }, (_, at) => {
      const copy = Buffer.from(bytes);
      copy[afterFirst + at]! ^= 1;
      return copy;
    });
    const torn = Array.from({ length: bytes.length - afterFirst }, (_, at) => bytes.subarray(0, afterFirst + at));
    for (const damaged of [...torn, ...flipped]) {
      await writeFile(file, damaged);
      const again = await opened();
      expect(await texts(again)).toEqual(["2:b", "3:c"]);
      await again.close();
    }
  });
});
