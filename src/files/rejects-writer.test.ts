import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RejectsWriter } from "./rejects-writer.ts";

let folder: string;
let name: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "rejects-"));
  name = path.join(folder, "rejects.ndjson");
});
afterEach(() => rm(folder, { recursive: true }));

const reject = { line: 3, code: "csv_invalid", error: "The record has 2 cells.", row: 't,"B' } as const;

describe("RejectsWriter", () => {
  it("writes a line for each reject", async () => {
    const writer = await RejectsWriter.open(name);
    await writer.write([reject, { ...reject, file: "a.csv", row: { ts: "t", volume: null, trade_count: 5n } }]);
    await writer.write([]);
    await writer.write([{ ...reject, line: 4 }]);
    expect(writer.count).toBe(3);
    await writer.close();
    await writer.close();
    expect(await readFile(name, "utf8")).toBe(
      [
        '{"line":3,"code":"csv_invalid","error":"The record has 2 cells.","row":"t,\\"B"}',
        '{"file":"a.csv","line":3,"code":"csv_invalid","error":"The record has 2 cells.","row":{"ts":"t","volume":null,"trade_count":"5"}}',
        '{"line":4,"code":"csv_invalid","error":"The record has 2 cells.","row":"t,\\"B"}',
        "",
      ].join("\n"),
    );
  });

  it("makes no file where there is nothing to write", async () => {
    const writer = await RejectsWriter.open(name);
    await writer.write([]);
    await writer.close();
    expect(existsSync(name)).toBe(false);
  });

  it("replaces an older file with the first reject", async () => {
    await writeFile(name, "older and much longer than what follows".repeat(100));
    const writer = await RejectsWriter.open(name);
    await writer.write([reject]);
    await writer.close();
    expect(JSON.parse(await readFile(name, "utf8"))).toMatchObject({ line: 3 });
  });

  it("refuses standard output and the files that are read", async () => {
    await expect(RejectsWriter.open("-")).rejects.toMatchObject({ code: "usage" });
    const input = path.join(folder, "input.csv");
    await writeFile(input, "ts,symbol\n");
    await symlink(input, name);
    await expect(RejectsWriter.open(name, ["-", input])).rejects.toMatchObject({
      code: "usage",
      message: `${name} is read from; rejects need a file of their own.`,
    });
  });

  it.each([
    ["in a folder that is missing", () => path.join(folder, "missing", "x")],
    [
      "a folder",
      async () => {
        await mkdir(path.join(folder, "x"));
        return path.join(folder, "x");
      },
    ],
  ])("says before any work that it cannot write what is %s", async (_name, place) => {
    const file = await place();
    await expect(RejectsWriter.open(file)).rejects.toMatchObject({
      code: "file_unwritable",
      message: expect.stringMatching(/^Rejects cannot be written to .* \(.*\); name another file\.$/),
    });
  });

  it.skipIf(process.getuid?.() === 0)("says so for a file that is read-only (skipped for root)", async () => {
    await writeFile(name, "");
    await chmod(name, 0o400);
    await expect(RejectsWriter.open(name)).rejects.toMatchObject({ code: "file_unwritable" });
  });

  it.runIf(existsSync("/dev/full"))("says so when the disk is full", async () => {
    const writer = await RejectsWriter.open("/dev/full");
    await expect(writer.write([reject])).rejects.toMatchObject({
      code: "file_unwritable",
      message: expect.stringContaining("ENOSPC"),
    });
    await writer.close().catch(() => undefined);
  });
});
