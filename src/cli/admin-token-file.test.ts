import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { keepAdminToken } from "./admin-token-file.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mds-token-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

describe("keepAdminToken", () => {
  it("makes a token for its owner alone and keeps it", async () => {
    const dataDir = join(folder, "below", "data");
    const made = await keepAdminToken(dataDir);
    expect(made).toEqual({
      token: expect.stringMatching(/^[\w-]{43}$/),
      path: join(dataDir, "admin-token"),
      isNew: true,
    });
    expect(await modeOf(made.path)).toBe("600");
    expect(await readFile(made.path, "utf8")).toBe(`${made.token}\n`);
    expect(await keepAdminToken(dataDir)).toEqual({ ...made, isNew: false });
    expect(await readdir(dataDir)).toEqual(["admin-token"]);
  });

  it("is the same for all who start at once", async () => {
    const kept = await Promise.all(Array.from({ length: 20 }, () => keepAdminToken(folder)));
    expect(new Set(kept.map(({ token }) => token)).size).toBe(1);
    expect(kept.filter(({ isNew }) => isNew)).toHaveLength(1);
  });

  it("takes the file away from others", async () => {
    const { path, token } = await keepAdminToken(folder);
    await chmod(path, 0o644);
    expect((await keepAdminToken(folder)).token).toBe(token);
    expect(await modeOf(path)).toBe("600");
  });

  it("refuses a file that holds something else, and does not show it", async () => {
    await writeFile(join(folder, "admin-token"), "short\n");
    const refused = expect(keepAdminToken(folder)).rejects;
    await refused.toMatchObject({ code: "config_invalid", message: expect.not.stringContaining("short") });
  });
});
