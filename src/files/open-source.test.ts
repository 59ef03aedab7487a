import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSource, type SourceOptions } from "./open-source.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "open-source-"));
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
async function file(bytes: Buffer | string): Promise<string> {
  const name = path.join(folder, `${++count}.csv`);
  await writeFile(name, bytes);
  return name;
}

async function read(name: string, options?: SourceOptions): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of openSource(name, options)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const text = `ts,symbol,close\n${"2024-01-02T00:00:00Z,AAPL,1.5\n".repeat(10_000)}`;

describe("openSource", () => {
  it.each([
    ["plain", Buffer.from(text)],
    ["gzip", gzipSync(text)],
    ["zstd", zstdCompressSync(text)],
    ["gzip in several members", Buffer.concat([gzipSync(text.slice(0, 100)), gzipSync(text.slice(100))])],
    [
      "zstd in several frames",
      Buffer.concat([zstdCompressSync(text.slice(0, 100)), zstdCompressSync(text.slice(100))]),
    ],
    ["with a byte order mark", Buffer.from(`\ufeff${text}`)],
    ["gzip with a byte order mark inside", gzipSync(`\ufeff${text}`)],
  ])("reads %s, whatever the file's name", async (_name, bytes) => {
    expect(await read(await file(bytes))).toBe(text);
  });

  it.each([
    ["nothing", ""],
    ["one byte", "a"],
    ["one line feed", "\n"],
    ["a mark alone", "\ufeff"],
  ])("reads %s", async (_name, content) => {
    expect(await read(await file(content))).toBe(content.replace("\ufeff", ""));
  });

  it("R20 reads standard input, compressed or not, in chunks of any size", async () => {
    const bytes = zstdCompressSync(text);
    const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 3), bytes.subarray(3, 4_000), bytes.subarray(4_000)];
    expect(await read("-", { stdin: Readable.from(pieces) })).toBe(text);
    expect(await read("-", { stdin: Readable.from([Buffer.from("\ufeffa")]) })).toBe("a");
  });

  it("R20 reads the standard input of a process", async () => {
    const module = JSON.stringify(new URL("./open-source.ts", import.meta.url).href);
    const script = `const { openSource } = await import(${module});
      let bytes = 0; for await (const chunk of openSource("-")) bytes += chunk.length;
      process.stdout.write(String(bytes));`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin.end(gzipSync(text));
    let out = "";
    for await (const chunk of child.stdout) out += String(chunk);
    expect(out).toBe(String(text.length));
  });

  it.each([
    ["missing", () => path.join(folder, "missing.csv"), "file_unreadable", /missing\.csv does not exist\.$/],
    ["a directory", () => folder, "file_unreadable", /is a directory; name the files in it\.$/],
    ["below a file", async () => `${await file("a")}/x`, "file_unreadable", /does not exist\.$/],
    [
      "UTF-16 from a spreadsheet or PowerShell",
      () => file(Buffer.from(`\ufeff${text}`, "utf16le")),
      "file_encoding",
      /is UTF-16 \(little-endian\) and not text in UTF-8; convert it first \(iconv -f UTF-16LE -t UTF-8\)\.$/,
    ],
    ["UTF-16 in gzip", () => file(gzipSync(Buffer.from(text, "utf16le"))), "file_encoding", /without a mark/],
    ["compressed twice", () => file(gzipSync(gzipSync(text))), "file_encoding", /is compressed twice and not text/],
    [
      "binary",
      () => file(Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 167) % 256))),
      "file_encoding",
      /is binary and not text in UTF-8; CSV and NDJSON in UTF-8 are read, plain or compressed with gzip or zstd\.$/,
    ],
  ])("refuses what is %s in one sentence", async (_name, name, code, message) => {
    await expect(read(await name())).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it.skipIf(process.getuid?.() === 0)("says when it may not read a file (skipped for root, who may)", async () => {
    const name = await file(text);
    await chmod(name, 0);
    await expect(read(name)).rejects.toMatchObject({
      code: "file_unreadable",
      message: expect.stringMatching(/may not be read by this user/),
    });
  });

  it.each([
    ["gzip", gzipSync(text)],
    ["zstd", zstdCompressSync(text)],
  ])("delivers what is there of cut-off %s before it says so", async (_name, bytes) => {
    const name = await file(bytes.subarray(0, bytes.length - 3));
    let length = 0;
    const reading = async () => {
      for await (const chunk of openSource(name)) length += chunk.length;
    };
    await expect(reading()).rejects.toMatchObject({
      code: "file_truncated",
      message: expect.stringMatching(/breaks off in the middle of its (gzip|zstd) data; fetch it again/),
    });
    expect(length).toBeGreaterThan(text.length / 2);
  });

  it("says that data is damaged", async () => {
    const bytes = gzipSync(text);
    bytes[bytes.length - 8]! ^= 0xff;
    await expect(read(await file(bytes))).rejects.toMatchObject({
      code: "file_unreadable",
      message: expect.stringMatching(/has damaged gzip data/),
    });
  });

  it("stops when told to, before and while it waits", async () => {
    await expect(read(await file(text), { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
    const stop = new AbortController();
    const stdin = new PassThrough();
    const reading = read("-", { stdin, signal: stop.signal });
    stdin.write("a");
    stop.abort();
    await expect(reading).rejects.toMatchObject({ code: "aborted", message: "Reading Standard input was stopped." });
  });

  it.runIf(process.platform === "linux")("leaves no file open, however reading ends", async () => {
    const openFiles = () => {
      const names = readdirSync("/proc/self/fd");
      return names.length;
    };
    const names = [await file(text), await file(gzipSync(text)), await file(Buffer.from(text, "utf16le"))];
    const before = openFiles();
    for (let round = 0; round < 20; round++) {
      for (const name of names) {
        try {
          for await (const _ of openSource(name)) break;
        } catch {
          // The refused one ends so.
        }
      }
    }
    await expect.poll(openFiles).toBeLessThanOrEqual(before + 1);
  });
});
