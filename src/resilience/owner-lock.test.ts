import { copyFile, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { StoreError } from "../errors/store-error.ts";
import { liveOwner, type OwnerLock, takeOwnership as takeAny } from "./owner-lock.ts";
import { processStart } from "./process-start.ts";

/** What happens right before the next lock file is linked into place. */
let beforeLink: ((draft: string) => Promise<void>) | undefined;
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const link: typeof real.link = async (draft, path) => {
    const hook = beforeLink;
    beforeLink = undefined;
    await hook?.(String(draft));
    await real.link(draft, path);
  };
  return { ...real, link };
});

const takeOwnership = (folder: string): Promise<OwnerLock> =>
  takeAny(folder, {
    inUse: (who, pid) => new StoreError("embedded_in_use", `In use by ${who}.`, { details: { pid } }),
    failed: (sentence) => new StoreError("embedded_failed", sentence),
  });

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "mds-lock-"));
});

afterEach(() => rm(home, { recursive: true }));

describe("takeOwnership", () => {
  it("refuses while the owner lives and lets the next one in after release", async () => {
    expect(await liveOwner(home)).toBeUndefined();
    const lock = await takeOwnership(home);
    expect(await liveOwner(home)).toBe(process.pid);
    await expect(takeOwnership(home)).rejects.toMatchObject({ code: "embedded_in_use", details: { pid: process.pid } });
    await lock.release();
    expect(await liveOwner(home)).toBeUndefined();
    await takeOwnership(home);
    expect(await readdir(home)).toEqual(["owner-2.json"]);
  });

  it.each([
    ["no owner", undefined],
    ["a dead owner", JSON.stringify({ pid: 2 ** 30, started: "boot:1" })],
    ["an owner whose pid is another process by now", JSON.stringify({ pid: process.pid, started: "boot:1" })],
    ["a damaged lock", '{"pid": 1'],
  ])("lets exactly one of many at once take over from %s", async (_case, content) => {
    if (content !== undefined) await writeFile(join(home, "owner-9.json"), content);
    const results = await Promise.allSettled(Array.from({ length: 30 }, () => takeOwnership(home)));
    const refused = results.filter((one) => one.status === "rejected");
    expect(results.length - refused.length).toBe(1);
    for (const one of refused) expect(one.reason).toMatchObject({ code: "embedded_in_use" });
    expect(await readdir(home)).toEqual([content === undefined ? "owner-1.json" : "owner-10.json"]);
  });
});

describe("a contender that is so slow that others come and go meanwhile", () => {
  it("sees that it does not hold the newest lock", async () => {
    // The number it is about to use was used and cleared away; number 5 belongs to a live owner.
    beforeLink = (draft) => copyFile(draft, join(home, "owner-5.json"));
    await expect(takeOwnership(home)).rejects.toMatchObject({ code: "embedded_in_use" });
    expect(await readdir(home)).toEqual(["owner-5.json"]);
  });
});

describe("ownership that changes hands all the time", () => {
  it("never has two holders", async () => {
    let holders = 0;
    let most = 0;
    let taken = 0;
    const contender = async (): Promise<void> => {
      for (let round = 0; round < 40; round += 1) {
        const lock = await takeOwnership(home).catch(() => undefined);
        if (!lock) continue;
        taken += 1;
        holders += 1;
        most = Math.max(most, holders);
        await new Promise((resolve) => setImmediate(resolve));
        holders -= 1;
        await lock.release();
      }
    };
    await Promise.all(Array.from({ length: 12 }, contender));
    expect(taken).toBeGreaterThan(10);
    expect(most).toBe(1);
  });
});

describe("processStart", () => {
  it("is the same for one run of a process and missing for a dead one", async () => {
    const mine = await processStart(process.pid);
    expect(mine).toMatch(/\d/);
    expect(await processStart(process.pid)).toBe(mine);
    expect(await processStart(process.ppid)).not.toBe(mine);
    expect(await processStart(2 ** 30)).toBeUndefined();
  });
});
