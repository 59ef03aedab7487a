import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type DeadLetter, letterLine, parseLetter } from "./dead-letter.ts";
import { DeadLetterWriter } from "./dead-letter-writer.ts";
import { LetterCounter } from "./letter-count.ts";
import { type LetterLine, readLetterFiles } from "./letter-files.ts";
import { purgeLetters, type ReplayOptions, replayLetters } from "./take-letters.ts";

const disk = vi.hoisted(() => ({ syncs: 0, beforeSync: undefined as (() => Promise<void>) | undefined }));
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const open: typeof real.open = async (path, ...rest) => {
    const handle = await real.open(path, ...rest);
    const datasync = handle.datasync.bind(handle);
    handle.datasync = async () => {
      disk.syncs++;
      await disk.beforeSync?.();
      await datasync();
    };
    return handle;
  };
  return { ...real, open };
});

let folder: string;
let writers: DeadLetterWriter[];

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "mds-letters-")), "dead-letters");
  writers = [];
  Object.assign(disk, { syncs: 0, beforeSync: undefined });
});
afterEach(async () => {
  for (const writer of writers) await writer.close();
  await rm(join(folder, ".."), { recursive: true });
});

function newWriter(options: Partial<ConstructorParameters<typeof DeadLetterWriter>[0]> = {}): DeadLetterWriter {
  const writer = new DeadLetterWriter({ folder, ...options });
  writers.push(writer);
  return writer;
}

const letter = (at: number, fields: Partial<DeadLetter> = {}): DeadLetter => ({
  acceptedAt: 1_000 + at,
  tenantId: "7f0e0000-0000-4000-8000-000000000001",
  dataset: "bars",
  code: "bar_impossible",
  error: "It is impossible.",
  attempts: 1,
  row: { at },
  ...fields,
});

async function allLines(): Promise<LetterLine[]> {
  const lines: LetterLine[] = [];
  for await (const file of readLetterFiles(folder)) lines.push(...file);
  return lines;
}
const places = async (): Promise<number[]> =>
  (await allLines()).map(({ letter: one }) => (one!.row as { at: number }).at).sort((a, b) => a - b);

const replay = (options: Partial<ReplayOptions> = {}) =>
  replayLetters({
    folder,
    filter: {},
    newestFirst: true,
    write: async (_tenant, _dataset, rows) => rows.map(() => undefined),
    ...options,
  });

describe("a letter", () => {
  it("comes back as it was, values that JSON lacks included", () => {
    const row = {
      ts: new Date(5),
      n: Number.NaN,
      big: 2n ** 70n,
      none: null,
      zero: -0,
      text: 'a\n"\\',
      date: new Date("x"),
    };
    const given = { ...letter(1), row, metadata: { coordinator: "c", at: 3n } };
    const line = letterLine(given, 9_000);
    expect(line.split("\n")).toHaveLength(2);
    expect(parseLetter(line)).toStrictEqual({ ...given, at: 9_000 });
    expect(Object.keys(JSON.parse(line) as object)).toEqual(
      "ts accepted_at tenant_id dataset code error attempts metadata row".split(" "),
    );
  });

  it("hides secrets in the error, and cuts what is long", () => {
    const error = `connect postgres://mds:hunter2@db failed ${"x".repeat(10_000)}`;
    const line = letterLine(letter(1, { error }), 0);
    expect(line).not.toContain("hunter2");
    expect(line.length).toBeLessThan(3_000);
  });

  it.each(["", "{", "null", "[]", '{"dataset":"bars"}', '{"ts":1,"tenant_id":"x","dataset":"nope","row":{}}'])(
    "is not made of %s",
    (text) => expect(parseLetter(text)).toBeUndefined(),
  );
});

describe("R24 the writer", () => {
  it("resolves when letters are fsynced and not before, and shares fsyncs", async () => {
    const kept = vi.fn();
    const writer = newWriter({ onKept: kept });
    const gate = Promise.withResolvers<void>();
    disk.beforeSync = () => gate.promise;
    let resolved = 0;
    const one = () => void resolved++;
    const appends = [writer.append([letter(0)]).then(one), writer.append([letter(1), letter(2)]).then(one)];
    await vi.waitFor(() => expect(disk.syncs).toBe(1));
    appends.push(writer.append([letter(3)]).then(one), writer.append([letter(4)]).then(one));
    expect(resolved).toBe(0);
    expect(kept).not.toHaveBeenCalled();
    gate.resolve();
    await Promise.all(appends);
    expect(disk.syncs).toBe(2);
    expect(await places()).toEqual([0, 1, 2, 3, 4]);
    expect(kept.mock.calls.flat(2)).toHaveLength(5);
  });

  it("begins a new file when one is full, and in each life", async () => {
    const writer = newWriter({ maxFileBytes: 2_000 });
    for (let at = 0; at < 30; at++) await writer.append([letter(at)]);
    await writer.append(Array.from({ length: 30 }, (_, at) => letter(30 + at)));
    await writer.close();
    await newWriter().append([letter(60)]);
    const names = await readdir(folder);
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect((await stat(join(folder, name))).size).toBeLessThan(2_600);
    expect(await places()).toEqual(Array.from({ length: 61 }, (_, at) => at));
  });

  it("says so when it cannot write", async () => {
    await writeFile(folder, "a file where the folder should be");
    await expect(newWriter().append([letter(1)])).rejects.toMatchObject({
      code: "dead_letters_unavailable",
      retryable: true,
    });
    await rm(folder);
    await newWriter().append([letter(2)]);
    expect(await places()).toEqual([2]);
  });
});

describe("a torn line", () => {
  it("is passed over, and gone when its file is written anew", async () => {
    const writer = newWriter();
    await writer.append([letter(0), letter(1)]);
    await writer.close();
    const [name] = await readdir(folder);
    const line = letterLine(letter(2), 0);
    const whole = (await stat(join(folder, name!))).size;
    for (let size = 1; size < line.length; size += 7) {
      await appendFile(join(folder, name!), line.slice(0, size));
      expect(await places()).toEqual([0, 1]);
      const { truncate } = await import("node:fs/promises");
      await truncate(join(folder, name!), whole);
    }
    await appendFile(join(folder, name!), line.slice(0, 40));
    const [first] = await allLines();
    await replay({ filter: { id: first!.id } });
    const [taken] = (await readdir(folder)).filter((one) => one.endsWith(".ndjson"));
    expect((await readFile(join(folder, taken!), "utf8")).split("\n")).toHaveLength(2);
  });

  it("that somebody edited stays as it is, until all is deleted", async () => {
    const writer = newWriter();
    await writer.append([letter(0)]);
    await writer.close();
    const [name] = await readdir(folder);
    await appendFile(join(folder, name!), "something else\n");
    expect(await replay()).toEqual({ replayed: 1, kept: 0 });
    expect((await allLines()).map(({ text }) => text)).toEqual(["something else"]);
    expect(await purgeLetters(folder, { dataset: "bars" })).toBe(0);
    expect(await purgeLetters(folder, {})).toBe(1);
    expect(await allLines()).toEqual([]);
  });
});

describe("replaying", () => {
  it("removes what is stored, keeps the rest, and hands rows on as they were", async () => {
    const writer = newWriter();
    await writer.append([letter(0), letter(1, { dataset: "news" }), letter(2), letter(3, { code: "nul_in_text" })]);
    const calls: unknown[] = [];
    const keptIds: string[] = [];
    const result = await replay({
      filter: { code: "bar_impossible" },
      write: async (tenantId, dataset, rows) => {
        calls.push([tenantId, dataset, rows]);
        return rows.map((row) =>
          (row as { at: number }).at === 2 ? { code: "key_present", message: "It is there." } : undefined,
        );
      },
      onKept: ({ id }, { code }) => keptIds.push(`${id} ${code}`),
    });
    expect(result).toEqual({ replayed: 2, kept: 1 });
    expect(calls).toEqual([
      [letter(0).tenantId, "bars", [{ at: 0 }, { at: 2 }]],
      [letter(0).tenantId, "news", [{ at: 1 }]],
    ]);
    expect(await places()).toEqual([2, 3]);
    const [stays] = await allLines();
    expect(keptIds).toEqual([`${stays!.id} key_present`]);
    await writer.append([letter(4)]);
    expect(await places()).toEqual([2, 3, 4]);
  });

  it("keeps a letter when its write fails, and those of batches before are done", async () => {
    const writer = newWriter();
    await writer.append([letter(0), letter(1, { tenantId: "other" })]);
    const failing = replay({
      write: async (tenantId, _, rows) => {
        if (tenantId === "other") throw new RangeError("the database is away");
        return rows.map(() => undefined);
      },
    });
    await expect(failing).rejects.toThrow("away");
    expect(await places()).toEqual([1]);
    expect(await replay()).toEqual({ replayed: 1, kept: 0 });
    expect(await places()).toEqual([]);
  });

  it("takes the newest first where the first one stays, and the oldest first where the last one does", async () => {
    const writer = newWriter({ maxFileBytes: 1 });
    for (let at = 0; at < 4; at++) await writer.append([letter(at)]);
    for (const newestFirst of [true, false]) {
      const order: number[] = [];
      await replay({
        newestFirst,
        write: async (_tenant, _dataset, rows) => {
          order.push(...rows.map((row) => (row as { at: number }).at));
          return rows.map(() => ({ code: "key_present", message: "" }));
        },
      });
      expect(order).toEqual(newestFirst ? [3, 2, 1, 0] : [0, 1, 2, 3]);
    }
  });

  it("is done by one process at a time", async () => {
    await newWriter().append([letter(0)]);
    await replay({
      write: async (_tenant, _dataset, rows) => {
        await expect(purgeLetters(folder, {})).rejects.toMatchObject({ code: "dead_letters_in_use" });
        return rows.map(() => undefined);
      },
    });
    expect(await purgeLetters(folder, {})).toBe(0);
  });

  it("loses no letter of writers that go on meanwhile", async () => {
    const pair = [newWriter(), newWriter({ maxFileBytes: 1_500 })];
    const replayed = new Set<number>();
    let writing = true;
    const replaying = (async () => {
      while (writing) {
        await replay({
          write: async (_tenant, _dataset, rows) => {
            for (const row of rows) replayed.add((row as { at: number }).at);
            return rows.map((row) => ((row as { at: number }).at % 3 === 0 ? { code: "x", message: "" } : undefined));
          },
        });
      }
    })();
    await Promise.all(
      pair.map(async (writer, side) => {
        for (let at = 0; at < 300; at++) await writer.append([letter(at * 2 + side)]);
      }),
    );
    writing = false;
    await replaying;
    const left = new Set(await places());
    for (let at = 0; at < 600; at++) expect([at, replayed.has(at) || left.has(at)]).toEqual([at, true]);
    for (let at = 0; at < 600; at += 3) expect(left.has(at)).toBe(true);
  });
});

describe("the count", () => {
  it("follows what all processes do, and reads only what changed", async () => {
    const counter = new LetterCounter(folder);
    expect(await counter.count()).toBe(0);
    const writer = newWriter();
    await writer.append([letter(0), letter(1)]);
    expect(await counter.count()).toBe(2);
    await newWriter().append([letter(2)]);
    expect(await counter.count()).toBe(3);
    await replay({ filter: { id: (await allLines())[0]!.id } });
    expect(await counter.count()).toBe(2);
    await purgeLetters(folder, {});
    expect(await counter.count()).toBe(0);
  });
});
