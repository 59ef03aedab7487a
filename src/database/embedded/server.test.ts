import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { boundLog } from "./server.ts";
import { serverSettings } from "./settings.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mds-log-"));
});

afterEach(() => rm(folder, { recursive: true }));

describe("boundLog", () => {
  it("moves a log aside that has grown over its bound, and no other", async () => {
    const log = join(folder, "server.log");
    await boundLog(log);
    await writeFile(log, "small");
    await boundLog(log);
    expect(await readdir(folder)).toEqual(["server.log"]);
    await writeFile(log, "x".repeat(9 * 1024 * 1024));
    await boundLog(log);
    expect((await stat(log)).size).toBe(0);
    expect((await stat(`${log}.1`)).size).toBe(9 * 1024 * 1024);
    expect(await readFile(log, "utf8")).toBe("");
  });
});

describe("serverSettings", () => {
  it("survives quotes in paths", () => {
    const text = serverSettings("/it's", "/it's/cluster", '/it\'s/"socket"', "durable");
    expect(text).toContain("hba_file = '/it''s/pg_hba.conf'\n");
    expect(text).toContain(`unix_socket_directories = '"/it''s/""socket"""'\n`);
    expect(text).not.toContain("fsync");
  });
});
