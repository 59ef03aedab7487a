import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { StoreError } from "../../errors/store-error.ts";
import { openLocalFile } from "./local-files.ts";

/** Enough for the exchange to fall between look and opening many times over. */
const ROUNDS = 1_500;

it.skipIf(process.platform !== "linux")(
  "a folder that is exchanged for a link at any moment never leads out",
  async () => {
    const scratch = await mkdtemp(join(tmpdir(), "mds-race-"));
    const [inside, outside] = [join(scratch, "inside"), join(scratch, "outside")];
    await Promise.all([mkdir(join(inside, "real"), { recursive: true }), mkdir(outside)]);
    await Promise.all([writeFile(join(inside, "real", "f"), "inside"), writeFile(join(outside, "f"), "outside")]);
    await symlink(outside, join(inside, "link"));
    let isOver = false;
    const exchange = async (): Promise<void> => {
      while (!isOver) {
        await rename(join(inside, "real"), join(inside, "d"));
        await rename(join(inside, "d"), join(inside, "real"));
        await rename(join(inside, "link"), join(inside, "d"));
        await rename(join(inside, "d"), join(inside, "link"));
      }
    };
    const exchanging = exchange();
    const seen = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      try {
        const { stream } = await openLocalFile(join(inside, "d", "f"), [inside]);
        seen.add(await text(stream));
      } catch (error) {
        seen.add((error as StoreError).code);
        expect(error).toBeInstanceOf(StoreError);
      }
    }
    isOver = true;
    await exchanging;
    await rm(scratch, { recursive: true });
    expect(seen).toContain("backfill_refused");
    expect(seen).not.toContain("outside");
  },
);
