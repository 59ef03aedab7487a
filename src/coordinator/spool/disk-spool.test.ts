import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MIB, record, SpoolFolder, texts } from "../../../test/support/spool-folder.ts";
import type { SpoolOptions } from "./open-spool.ts";

/** Faults of the disk that the next calls meet, and how often it was synced. */
const disk = vi.hoisted(() => ({
  syncs: 0,
  /** Fails the next fsync of a segment. */
  syncFault: undefined as string | undefined,
  /** Fails writes of segments after so many bytes. */
  roomBytes: Number.POSITIVE_INFINITY,
  beforeSync: undefined as (() => Promise<void>) | undefined,
}));
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const fault = (code: string): Error => Object.assign(new Error(`${code}: made up`), { code, syscall: "write" });
  const open: typeof real.open = async (path, ...rest) => {
    const handle = await real.open(path, ...rest);
    if (!String(path).includes("segment-")) return handle;
    const { write, datasync } = { write: handle.write.bind(handle), datasync: handle.datasync.bind(handle) };
    Object.assign(handle, {
      write: async (bytes: Buffer, offset: number, length: number, position: number) => {
        if (disk.roomBytes <= 0) throw fault("ENOSPC");
        const possible = Math.min(length, disk.roomBytes);
        disk.roomBytes -= possible;
        return write(bytes, offset, possible, position);
      },
      datasync: async () => {
        disk.syncs++;
        await disk.beforeSync?.();
        const code = disk.syncFault;
        disk.syncFault = undefined;
        if (code !== undefined) throw fault(code);
        await datasync();
      },
    });
    return handle;
  };
  return { ...real, open };
});

let folder: SpoolFolder;
const opened = (options?: Partial<SpoolOptions>) => folder.open(options);
const segmentPaths = () => folder.segments();

beforeEach(async () => {
  folder = await SpoolFolder.make();
  Object.assign(disk, { syncs: 0, syncFault: undefined, roomBytes: Number.POSITIVE_INFINITY, beforeSync: undefined });
});

afterEach(async () => {
  disk.roomBytes = Number.POSITIVE_INFINITY;
  await folder.remove();
});

describe("appending", () => {
  it("gives consecutive numbers in the order of the calls, and reads back what was accepted when", async () => {
    const spool = await opened();
    const results = await Promise.all([
      spool.append([record("a"), record("b")], 1_000),
      spool.append([record("")], 2_000),
      spool.append([record("c")], 3_000),
    ]);
    expect(results.map(({ first }) => first)).toEqual([1, 3, 4]);
    expect(await texts(spool)).toEqual(["1:a", "2:b", "3:", "4:c"]);
    expect(await texts(spool, 3)).toEqual(["3:", "4:c"]);
    for await (const batch of spool.read()) {
      expect(batch.map(({ acceptedAt }) => acceptedAt)).toEqual([1_000, 1_000, 2_000, 3_000]);
    }
    expect(spool).toMatchObject({ depth: 4, nextSequence: 5, oldestAcceptedAt: 1_000, fault: undefined });
  });

  it("shares one fsync between calls of the same moment, and gathers the next group while it lasts", async () => {
    const spool = await opened();
    await spool.append([record("first")]);
    const before = disk.syncs;
    await Promise.all(Array.from({ length: 200 }, (_, at) => spool.append([record(`${at}`)])));
    expect(disk.syncs - before).toBe(1);

    const gate = Promise.withResolvers<void>();
    disk.beforeSync = () => gate.promise;
    const slow = spool.append([record("slow")]);
    await vi.waitFor(() => expect(disk.syncs - before).toBe(2));
    const others = Array.from({ length: 50 }, () => spool.append([record("meanwhile")]));
    gate.resolve();
    await Promise.all([slow, ...others]);
    expect(disk.syncs - before).toBe(3);
  });

  it("resolves only after the fsync", async () => {
    const spool = await opened();
    await spool.append([record("a")]);
    const gate = Promise.withResolvers<void>();
    disk.beforeSync = () => gate.promise;
    let resolved = false;
    const appended = spool.append([record("b")]).then(() => {
      resolved = true;
    });
    await vi.waitFor(() => expect(disk.syncs).toBe(3)); // the header, a, b
    expect(resolved).toBe(false);
    expect(await texts(spool)).toEqual(["1:a"]);
    gate.resolve();
    await appended;
    expect(await texts(spool)).toEqual(["1:a", "2:b"]);
  });

  it("refuses after close, and what is too large", async () => {
    const spool = await opened();
    await expect(spool.append([Buffer.alloc(16 * MIB + 1)])).rejects.toMatchObject({ code: "usage" });
    await expect(spool.append([Buffer.alloc(9 * MIB), Buffer.alloc(9 * MIB)])).rejects.toMatchObject({ code: "usage" });
    await spool.close();
    await expect(spool.append([record("late")])).rejects.toMatchObject({ code: "usage" });
  });
});

describe("acknowledging", () => {
  it("removes segments when all in them is acknowledged, in whatever order", async () => {
    const spool = await opened({ segmentBytes: 200 });
    for (let at = 1; at <= 20; at++) await spool.append([Buffer.alloc(60, 65 + at)]);
    expect((await segmentPaths()).length).toBeGreaterThan(5);
    spool.acknowledge([20, 19, 2, 1, 3, 3, 99, 0]);
    expect(spool.depth).toBe(15);
    spool.acknowledge(Array.from({ length: 18 }, (_, at) => at + 1));
    expect(spool).toMatchObject({ depth: 0, oldestAcceptedAt: undefined });
    await vi.waitFor(async () => expect((await segmentPaths()).length).toBe(1));
    await spool.close();
    expect(await segmentPaths()).toEqual([]);
    expect((await opened()).nextSequence).toBe(21);
  });

  it("does nothing after close: the folder may be another's", async () => {
    const spool = await opened();
    await spool.append([record("a")]);
    await spool.close();
    const again = await opened();
    spool.acknowledge([1]);
    await again.append([record("b")]);
    expect(await texts(again)).toEqual(["1:a", "2:b"]);
  });

  it("gives back after a restart what was not acknowledged, and nothing else", async () => {
    const spool = await opened({ segmentBytes: 200 });
    for (let at = 1; at <= 9; at++) await spool.append([record(`row ${at}`.padEnd(50))], at * 60_000);
    spool.acknowledge([1, 2, 4, 9]);
    await spool.close();
    const again = await opened();
    expect(again).toMatchObject({ depth: 5, nextSequence: 10, oldestAcceptedAt: 180_000 });
    expect((await texts(again)).map((text) => text.trim())).toEqual([3, 5, 6, 7, 8].map((at) => `${at}:row ${at}`));
    expect(await again.append([record("x")])).toEqual({ first: 10 });
  });

  it("can be done while reading, also of what comes meanwhile, each once", async () => {
    const spool = await opened({ segmentBytes: 2_000 });
    const total = 500;
    for (let at = 0; at < total / 2; at++) void spool.append([record(`${at}`)]);
    await spool.append([]);
    await spool.append([record("x")]);
    const seen: number[] = [];
    let more = total / 2;
    while (spool.depth > 0) {
      for await (const batch of spool.read((seen.at(-1) ?? 0) + 1)) {
        seen.push(...batch.map(({ sequence }) => sequence));
        spool.acknowledge(batch.map(({ sequence }) => sequence));
        for (let at = 0; at < 20 && more > 0; at++, more--) await spool.append([record("more")]);
      }
    }
    expect(seen).toEqual(Array.from({ length: total / 2 + 1 + total / 2 }, (_, at) => at + 1));
  });
});

describe("reading", () => {
  it("goes on to what is accepted meanwhile, in bounded batches, each record once", async () => {
    const spool = await opened({ segmentBytes: 4 * MIB });
    const append = () => spool.append(Array.from({ length: 1_000 }, () => Buffer.alloc(1_000)));
    for (let round = 0; round < 3; round++) await append();
    const seen: number[] = [];
    for await (const batch of spool.read()) {
      expect(batch.length).toBeLessThan(1_100); // a mebibyte
      seen.push(...batch.map(({ sequence }) => sequence));
      if (spool.nextSequence < 9_000) await append();
    }
    expect(seen).toEqual(Array.from({ length: spool.nextSequence - 1 }, (_, at) => at + 1));
    expect(spool.nextSequence).toBeGreaterThan(8_000);
  });

  it("begins near any record", async () => {
    const spool = await opened({ segmentBytes: 4 * MIB });
    for (let at = 0; at < 20; at++) await spool.append([Buffer.alloc(100_000), Buffer.alloc(100_000)], at);
    for (const from of [1, 2, 17, 39, 40, 41]) {
      const seen: number[] = [];
      for await (const batch of spool.read(from)) seen.push(...batch.map(({ sequence }) => sequence));
      expect(seen).toEqual(Array.from({ length: 41 - from }, (_, at) => from + at));
    }
  });
});

describe("the bound", () => {
  it("refuses at once when it is full, and takes again when segments are gone", async () => {
    const spool = await opened({ maxBytes: MIB });
    const large = Buffer.alloc(100_000);
    let accepted = 0;
    for (;;) {
      const result = await spool.append([large]).catch((error: unknown) => error);
      expect(spool.bytes).toBeLessThanOrEqual(MIB);
      if (result instanceof Error) {
        expect(result).toMatchObject({ code: "spool_full", retryable: true, details: { reason: "bound" } });
        break;
      }
      accepted++;
    }
    expect(accepted).toBe(10);
    let waited = false;
    const room = spool.waitForRoom(large.length).then(() => {
      waited = true;
    });
    spool.acknowledge([2, 3]);
    expect(waited).toBe(false);
    spool.acknowledge([1]);
    await room;
    expect(await spool.append([large])).toEqual({ first: 11 });
  });

  it("lets a newest segment go that is done but not full, when its room is needed", async () => {
    const spool = await opened({ maxBytes: MIB, segmentBytes: 2 * MIB });
    for (let round = 0; round < 5; round++) {
      await spool.waitForRoom(900_000);
      const { first } = await spool.append([Buffer.alloc(900_000)]);
      spool.acknowledge([first]);
    }
    expect(spool.bytes).toBeLessThan(MIB);
  });

  it("ends a wait for room by its signal, by close, and at once where there never is any", async () => {
    const spool = await opened({ maxBytes: MIB });
    await expect(spool.waitForRoom(MIB)).rejects.toMatchObject({ code: "usage" });
    await spool.append([Buffer.alloc(900_000)]);
    const stop = new AbortController();
    const waiting = spool.waitForRoom(500_000, stop.signal);
    stop.abort(new RangeError("enough"));
    await expect(waiting).rejects.toThrow("enough");
    const other = spool.waitForRoom(500_000);
    await Promise.all([spool.close(), expect(other).rejects.toMatchObject({ code: "usage" })]);
  });
});

describe("faults of the disk", () => {
  it("a full disk rejects the append, keeps what was accepted, and later appends work", async () => {
    const spool = await opened();
    await spool.append([record("kept")]);
    disk.roomBytes = 30;
    const refused = await Promise.allSettled([spool.append([record("x".repeat(100))]), spool.append([record("y")])]);
    for (const one of refused) {
      expect(one).toMatchObject({ reason: { code: "spool_full", details: { reason: "disk" } } });
    }
    const [path] = await segmentPaths();
    expect((await stat(path!)).size).toBe(24 + 24); // its header, and the frame with "kept"
    expect(spool).toMatchObject({ depth: 1, fault: { code: "spool_full" } });
    disk.roomBytes = Number.POSITIVE_INFINITY;
    expect(await spool.append([record("later")])).toEqual({ first: 2 });
    expect(spool.fault).toBeUndefined();
    await spool.close();
    expect(await texts(await opened())).toEqual(["1:kept", "2:later"]);
    expect(folder.errors).toHaveLength(1);
  });

  it("a full disk where a segment begins leaves nothing behind", async () => {
    const spool = await opened();
    disk.roomBytes = 10;
    await expect(spool.append([record("x")])).rejects.toMatchObject({ code: "spool_full" });
    expect(await segmentPaths()).toEqual([]);
    disk.roomBytes = Number.POSITIVE_INFINITY;
    expect(await spool.append([record("y")])).toEqual({ first: 1 });
  });

  it("after an fsync that failed nothing more goes into that segment", async () => {
    const spool = await opened();
    await spool.append([record("kept")]);
    disk.syncFault = "EIO";
    await expect(spool.append([record("lost")])).rejects.toMatchObject({ code: "spool_unavailable" });
    expect(await spool.append([record("next")])).toEqual({ first: 2 });
    expect(await segmentPaths()).toHaveLength(2);
    expect(await texts(spool)).toEqual(["1:kept", "2:next"]);
    await spool.close();
    expect(await texts(await opened())).toEqual(["1:kept", "2:next"]);
  });

  it("a folder that cannot be used says so", async () => {
    await writeFile(join(folder.path, "file"), "");
    await expect(opened({ folder: join(folder.path, "file", "spool") })).rejects.toMatchObject({
      code: "spool_unavailable",
    });
  });
});

describe("one owner", () => {
  it("refuses a second one, and lets one in after close or over a dead one's lock", async () => {
    const spool = await opened();
    await expect(opened()).rejects.toMatchObject({ code: "spool_in_use", details: { pid: process.pid } });
    await spool.append([record("a")]);
    await spool.close();
    await writeFile(join(folder.path, "owner-9.json"), JSON.stringify({ pid: 2 ** 30, started: "boot:1" }));
    expect(await texts(await opened())).toEqual(["1:a"]);
  });
});
