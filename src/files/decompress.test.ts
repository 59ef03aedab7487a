import { promisify } from "node:util";
import { gunzip, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decompress } from "./decompress.ts";

/** Digits of a linear congruential generator: hardly compressible, the same each time. */
const text = Buffer.from(
  Array.from(
    { length: 60_000 },
    (_, index) => `line ${index} ${(index * 1_103_515_245 + 12_345) % 2_147_483_648}\n`,
  ).join(""),
);
const packed = gzipSync(text);
const compressors = { gzip: gzipSync, zstd: zstdCompressSync } as const;
const formats = ["gzip", "zstd"] as const;

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

/** Reads all that can be had; a slow reader takes, for some blocks, as long as unpacking everything takes. */
async function read(source: AsyncIterable<Buffer>, format: "gzip" | "zstd", isSlow = false) {
  const blocks: Buffer[] = [];
  try {
    for await (const block of decompress(source, format)) {
      blocks.push(block);
      if (isSlow && blocks.length % 8 === 1) await promisify(gunzip)(packed);
    }
  } catch (error) {
    return { bytes: Buffer.concat(blocks), code: (error as NodeJS.ErrnoException).code };
  }
  return { bytes: Buffer.concat(blocks), code: undefined };
}

describe.each(formats)("decompress %s", (format) => {
  const whole = compressors[format](text);

  it("gives what was compressed, however it is cut into chunks", async () => {
    for (const size of [1_000, 65_536, whole.length]) {
      const { bytes, code } = await read(pieces(whole, size), format);
      expect(code).toBeUndefined();
      expect(bytes.equals(text)).toBe(true);
    }
  });

  it("reads members one after the other, wherever a chunk ends", async () => {
    const short = compressors[format](Buffer.from("short\n"));
    const all = Buffer.concat([short, whole, short, short]);
    for (const size of [1, short.length, short.length + whole.length, 65_536, all.length]) {
      const { bytes, code } = await read(pieces(size === 1 ? Buffer.concat([short, short]) : all, size), format);
      expect(code).toBeUndefined();
      expect(bytes.length).toBe(size === 1 ? 12 : text.length + 18);
    }
  });

  it("refuses garbage behind the end", async () => {
    const { code } = await read(pieces(Buffer.concat([whole, Buffer.from("garbage garbage")]), 1_000), format);
    expect(code).toMatch(/^Z_DATA_ERROR|^ZSTD_/);
  });

  it("gives nothing for nothing", async () => {
    expect(await read(pieces(Buffer.alloc(0), 1), format)).toEqual({ bytes: Buffer.alloc(0), code: undefined });
  });

  it("gives all that a cut-off stream holds before it says so, to a slow reader too", async () => {
    const cuts = fc.integer({ min: 1, max: whole.length - 1 });
    await fc.assert(
      fc.asyncProperty(cuts, fc.constantFrom(1_000, 65_536), async (cut, size) => {
        const part = whole.subarray(0, cut);
        const fast = await read(pieces(part, size), format);
        const slow = await read(pieces(part, size), format, true);
        expect(fast.code).toBe("Z_BUF_ERROR");
        expect(slow.code).toBe("Z_BUF_ERROR");
        expect(slow.bytes.length).toBe(fast.bytes.length);
        expect(fast.bytes.equals(text.subarray(0, fast.bytes.length))).toBe(true);
        // gzip holds back at most a block of its own, zstd one of 128 KiB.
        expect(fast.bytes.length).toBeGreaterThan((text.length * cut) / whole.length - 300_000);
      }),
      { numRuns: 15 },
    );
  });

  it("gives all blocks before a damaged place, to a slow reader too", async () => {
    const damaged = Buffer.concat([whole, Buffer.from("garbage garbage")]);
    const fast = await read(pieces(damaged, damaged.length), format);
    const slow = await read(pieces(damaged, damaged.length), format, true);
    expect(fast.code).toMatch(/^Z_DATA_ERROR|^ZSTD_/);
    expect(slow.code).toBe(fast.code);
    expect(slow.bytes.length).toBe(fast.bytes.length);
    expect(slow.bytes.length).toBeGreaterThan(text.length - 200_000);
  });

  it("passes a failure of its source on", async () => {
    async function* failing(): AsyncGenerator<Buffer> {
      yield whole.subarray(0, 1_000);
      throw Object.assign(new Error("disk"), { code: "EIO" });
    }
    expect((await read(failing(), format)).code).toBe("EIO");
  });
});

it("leaves a padding of zeros behind gzip aside", async () => {
  const short = gzipSync(Buffer.from("short\n"));
  for (const size of [1, 10, short.length, 50, 1_000]) {
    const padded = Buffer.concat([short, Buffer.alloc(100)]);
    expect(await read(pieces(padded, size), "gzip")).toEqual({ bytes: Buffer.from("short\n"), code: undefined });
  }
});

it("does not unpack more than is taken", async () => {
  // 256 MiB of zeros in a few kilobytes: were they unpacked at once, the process would grow by as much.
  const zeros = Buffer.alloc(1 << 20);
  const bomb = Buffer.concat(Array.from({ length: 256 }, () => zstdCompressSync(zeros)));
  const before = process.memoryUsage().arrayBuffers;
  let bytes = 0;
  let most = 0;
  for await (const block of decompress(pieces(bomb, bomb.length), "zstd")) {
    bytes += block.length;
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  expect(bytes).toBe(256 << 20);
  expect(most).toBeLessThan(128 << 20);
});
