import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { DeadLetterWriter } from "../../src/coordinator/dead-letters/dead-letter-writer.ts";
import { readLetterFiles } from "../../src/coordinator/dead-letters/letter-files.ts";
import { openSpool } from "../../src/coordinator/spool/open-spool.ts";

const run = promisify(execFile);
const SIZE_BYTES = 4_194_304;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

const disk = await mkdtemp(join(tmpdir(), "mds-small-disk-"));
const problem = await run("mount", ["-t", "tmpfs", "-o", `size=${SIZE_BYTES}`, "tmpfs", disk]).then(
  () => undefined,
  (error: Error) => error.message.trim().split("\n").at(-1),
);
if (problem !== undefined) {
  console.warn(
    `SKIPPED: nothing was tested on a full disk, because a small one cannot be mounted (it takes root): ${problem}`,
  );
}

afterAll(async () => {
  if (problem === undefined) await run("umount", [disk]);
  await rm(disk, { recursive: true });
});

describe.skipIf(problem !== undefined)(
  `on a full disk${problem === undefined ? "" : " (no small one can be mounted)"}`,
  () => {
    it("the spool refuses, keeps what it accepted, and goes on when there is room", async () => {
      const folder = join(disk, "spool");
      const spool = await openSpool({ folder, maxBytes: 100 * SIZE_BYTES, segmentBytes: SIZE_BYTES / 4, log: silent });
      const ballast = join(disk, "ballast");
      await writeFile(ballast, Buffer.alloc(SIZE_BYTES / 4));
      const kept: number[] = [];
      const fill = async (): Promise<unknown> => {
        for (let size = 1; ; size = (size * 7 + 13) % 50_000) {
          try {
            const { first } = await spool.append([Buffer.alloc(size, size % 256)]);
            kept.push(first);
          } catch (error) {
            return error;
          }
        }
      };
      for (let round = 0; round < 3; round++) {
        expect(await fill()).toMatchObject({ code: "spool_full", details: { reason: "disk" } });
      }
      const before = kept.length;
      await rm(ballast);
      expect(await fill()).toMatchObject({ code: "spool_full" });
      expect(kept.length).toBeGreaterThan(before + 5);
      // Acknowledging frees room although the file of acknowledgements may not grow.
      spool.acknowledge(kept.slice(0, before));
      const room = kept.length;
      await spool.waitForRoom(1);
      await expect.poll(async () => (await statfs(disk)).bavail).toBeGreaterThan(10);
      expect(await fill()).toMatchObject({ code: "spool_full" });
      expect(kept.length).toBeGreaterThan(room);

      const waiting = kept.slice(before);
      spool.acknowledge(waiting.slice(0, 40)); // there has to be room for a lock
      await spool.close();
      const again = await openSpool({ folder, maxBytes: 100 * SIZE_BYTES, log: silent });
      const back: number[] = [];
      for await (const batch of again.read()) back.push(...batch.map(({ sequence }) => sequence));
      expect(waiting.filter((sequence) => !back.includes(sequence))).toEqual(
        waiting.slice(0, waiting.length - back.filter((sequence) => waiting.includes(sequence)).length),
      );
      expect(again.damaged).toBe(0);
      again.acknowledge(back);
      await again.close();
      expect((await readdir(folder)).filter((name) => name.startsWith("segment-"))).toEqual([]);
    });

    it("dead letters refuse, and no torn line stays in the way", async () => {
      const folder = join(disk, "letters");
      const writer = new DeadLetterWriter({ folder });
      const letter = (text: string) => ({
        acceptedAt: 0,
        tenantId: "t",
        dataset: "news" as const,
        code: "text_too_long" as const,
        error: "too long",
        attempts: 1,
        row: { text },
      });
      await writer.append([letter("first")]);
      const ballast = join(disk, "ballast");
      await writeFile(ballast, Buffer.alloc(SIZE_BYTES)).catch(() => undefined);
      await expect(writer.append([letter("x".repeat(SIZE_BYTES))])).rejects.toMatchObject({
        code: "dead_letters_unavailable",
      });
      await rm(ballast);
      await writer.append([letter("last")]);
      await writer.close();
      const rows: unknown[] = [];
      for await (const lines of readLetterFiles(folder)) rows.push(...lines.map(({ letter: one }) => one?.row));
      expect(rows).toEqual([{ text: "first" }, { text: "last" }]);
    });
  },
);
