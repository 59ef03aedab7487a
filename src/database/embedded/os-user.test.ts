import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { firstBarrier, unprivilegedUsers } from "./os-user.ts";

describe("unprivilegedUsers", () => {
  it("prefers postgres to nobody, wherever they stand", () => {
    const passwd = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65533::/:/none\npostgres:x:101:104::/:/bin/sh\n";
    expect(unprivilegedUsers(passwd)).toEqual([
      { name: "postgres", uid: 101, gid: 104 },
      { name: "nobody", uid: 65_534, gid: 65_533 },
    ]);
  });

  it("takes no user with the rights of root and no damaged line", () => {
    expect(unprivilegedUsers("postgres:x:0:0::/:/bin/sh\nnobody:x\n\n")).toEqual([]);
  });
});

describe("firstBarrier", () => {
  const stranger = { name: "stranger", uid: 54_321, gid: 54_321 };
  const self = { name: "self", uid: process.getuid?.() ?? -1, gid: 54_321 };
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp("/tmp/mds-reach-");
    await mkdir(join(folder, "inner"));
    await writeFile(join(folder, "inner", "program"), "");
    await chmod(join(folder, "inner"), 0o711);
    await chmod(join(folder, "inner", "program"), 0o755);
  });

  afterEach(() => rm(folder, { recursive: true }));

  it("is the first folder that closes the way", async () => {
    const program = join(folder, "inner", "program");
    await chmod(folder, 0o700);
    expect(await firstBarrier(program, stranger)).toBe(folder);
    expect(await firstBarrier(program, self)).toBeUndefined();
    await chmod(folder, 0o711);
    expect(await firstBarrier(program, stranger)).toBeUndefined();
  });

  it("is the program when that cannot be read and executed, and follows the group's bits", async () => {
    const program = join(folder, "inner", "program");
    await chmod(folder, 0o755);
    await chmod(program, 0o750);
    expect(await firstBarrier(program, stranger)).toBe(program);
    expect(await firstBarrier(program, { ...stranger, gid: process.getgid?.() ?? -1 })).toBeUndefined();
    await chmod(program, 0o705);
    expect(await firstBarrier(program, { ...stranger, gid: process.getgid?.() ?? -1 })).toBe(program);
  });
});
