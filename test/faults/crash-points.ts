/**
 * Puts faults between a process and its files: death at a certain operation (before, after, or with half of a write
 * done), failing operations, and the power cut, which is the death of the machine: what was not fsynced is gone, wholly
 * or in part, and the newest changes of names are undone. Only files in the watched folders are touched.
 */
import fs from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname, join, sep } from "node:path";
import { SeededRandom } from "../simulation/seeded-random.ts";

export const OPERATIONS = ["open", "write", "datasync", "rename", "rm", "truncate"] as const;
type Operation = (typeof OPERATIONS)[number];

/** The fault: at the `at`-th operation of a kind from now on, counted from 1. */
export interface CrashPlan {
  readonly operation: Operation;
  readonly at: number;
  /** `fail` lets `times` operations fail with `code`, and the process lives. */
  readonly what: "kill" | "power" | "fail";
  readonly moment: "before" | "halfway" | "after";
  readonly times: number;
  readonly code: "EIO" | "ENOSPC";
  readonly seed: number;
}

type Method = (...parameters: unknown[]) => Promise<unknown>;

/** A change of names that may not be on disk yet. */
interface NameChange {
  readonly folder: string;
  /** What was there before, under another name. */
  readonly kept: string | undefined;
  readonly undo: () => void;
}

const promises = fs.promises as unknown as Record<string, Method>;

export class CrashPoints {
  readonly #folders: readonly string[];
  readonly #trash: string;
  #plan: CrashPlan | undefined;
  #seen = 0;
  #kept = 0;
  readonly #files = new WeakMap<object, { readonly inode: number; readonly path: string }>();
  /** Bytes of each file, by its inode, that are on disk for certain. */
  readonly #synced = new Map<number, number>();
  /** Oldest first. */
  #names: NameChange[] = [];

  private constructor(folders: readonly string[], trash: string) {
    this.#folders = folders;
    this.#trash = trash;
  }

  /**
   * Takes the place of functions of `node:fs/promises` for the rest of this process's life.
   * @param trash - Folder for what was removed, until that is on disk; on the same file system as the watched ones.
   */
  static async install(folders: readonly string[], trash: string): Promise<CrashPoints> {
    fs.mkdirSync(trash, { recursive: true });
    const points = new CrashPoints(folders, trash);
    const handle = await fs.promises.open("/dev/null");
    points.#patchWrites(Object.getPrototypeOf(handle) as Record<string, Method>);
    points.#patchSyncs(Object.getPrototypeOf(handle) as Record<string, Method>);
    await handle.close();
    points.#patchOpen();
    points.#patchNames();
    syncBuiltinESMExports();
    return points;
  }

  /** From now on; without a plan nothing goes wrong any more. */
  arm(plan: CrashPlan | undefined): void {
    this.#plan = plan;
    this.#seen = 0;
  }

  /** A power cut in this moment. */
  cutPower(seed: number): never {
    return this.#die("power", seed);
  }

  #isWatched(path: unknown): path is string {
    if (typeof path !== "string" || basename(path).startsWith("owner-")) return false;
    return this.#folders.some((folder) => path === folder || path.startsWith(folder + sep));
  }

  /** An operation with its fault. */
  async #run<T>(operation: Operation, work: () => Promise<T>, half?: () => void): Promise<T> {
    const plan = this.#plan;
    if (plan === undefined || plan.operation !== operation) return work();
    const place = ++this.#seen - plan.at;
    if (place < 0 || place >= plan.times) return work();
    if (plan.what === "fail") throw Object.assign(new Error(`${plan.code}: made up`), { code: plan.code });
    if (plan.moment === "halfway") half?.();
    if (plan.moment === "after") await work();
    return this.#die(plan.what, plan.seed);
  }

  #die(what: "kill" | "power", seed: number): never {
    if (what === "power") this.#losePower(new SeededRandom(seed));
    process.kill(process.pid, "SIGKILL");
    for (;;); // Nothing may happen any more.
  }

  #losePower(random: SeededRandom): void {
    // A file system keeps the order of its own changes.
    const lasting = random.whole(0, this.#names.length);
    for (const { undo } of this.#names.slice(lasting).reverse()) undo();
    for (const path of this.#folders.flatMap((folder) => filesIn(folder))) {
      const { ino, size } = fs.statSync(path);
      const synced = this.#synced.get(ino) ?? size;
      if (size > synced) fs.truncateSync(path, random.whole(synced, size));
    }
  }

  #patchWrites(prototype: Record<string, Method>): void {
    replace(prototype, "write", (handle, work, [bytes, offset, length, position]) => {
      const half = Math.floor(Number(length) / 2);
      const writeHalf = () => void fs.writeSync(handle.fd, bytes as Buffer, Number(offset), half, Number(position));
      return this.#files.has(handle) ? this.#run("write", work, writeHalf) : work();
    });
    for (const name of ["appendFile", "writeFile"]) {
      replace(prototype, name, (handle, work, [data]) => {
        const bytes = Buffer.from(data as string);
        const writeHalf = () => void fs.writeSync(handle.fd, bytes.subarray(0, bytes.length >> 1));
        return this.#files.has(handle) ? this.#run("write", work, writeHalf) : work();
      });
    }
    replace(prototype, "truncate", async (handle, work, [length]) => {
      const file = this.#files.get(handle);
      if (file === undefined) return work();
      return this.#run("truncate", async () => {
        await work();
        this.#synced.set(file.inode, Math.min(this.#synced.get(file.inode) ?? 0, Number(length ?? 0)));
      });
    });
  }

  #patchSyncs(prototype: Record<string, Method>): void {
    for (const name of ["datasync", "sync"]) {
      replace(prototype, name, (handle, work) => {
        const file = this.#files.get(handle);
        if (file === undefined) return work();
        const { size } = fs.fstatSync(handle.fd);
        const changes = this.#names.filter(({ folder }) => folder === file.path);
        return this.#run("datasync", async () => {
          await work();
          this.#synced.set(file.inode, size);
          this.#settle(changes);
        });
      });
    }
  }

  #settle(changes: readonly NameChange[]): void {
    if (changes.length === 0) return;
    this.#names = this.#names.filter((change) => !changes.includes(change));
    for (const { kept } of changes) if (kept !== undefined) fs.rmSync(kept, { force: true });
  }

  #patchOpen(): void {
    const { open } = promises;
    promises["open"] = async (path, flags, ...rest) => {
      if (!this.#isWatched(path)) return open!(path, flags, ...rest);
      return this.#run("open", async () => {
        const isNew = !fs.existsSync(path);
        const handle = (await open!(path, flags, ...rest)) as FileHandle;
        const { ino, size } = fs.fstatSync(handle.fd);
        this.#files.set(handle, { inode: ino, path });
        if (isNew || !this.#synced.has(ino)) this.#synced.set(ino, size);
        if (isNew) this.#changed(path, undefined, () => fs.rmSync(path, { force: true }));
        return handle;
      });
    };
  }

  #patchNames(): void {
    const { rename, rm, link } = promises;
    promises["rename"] = async (from, to) => {
      if (!this.#isWatched(from) || !this.#isWatched(to)) return rename!(from, to);
      return this.#run("rename", async () => {
        const kept = this.#keep(to);
        await rename!(from, to);
        this.#changed(to, kept, () => {
          fs.renameSync(to, from);
          if (kept !== undefined) fs.renameSync(kept, to);
        });
      });
    };
    promises["rm"] = async (path, ...rest) => {
      if (!this.#isWatched(path)) return rm!(path, ...rest);
      return this.#run("rm", async () => {
        const kept = this.#keep(path);
        await rm!(path, ...rest);
        if (kept !== undefined) this.#changed(path, kept, () => fs.renameSync(kept, path));
      });
    };
    promises["link"] = async (from, to) => {
      await link!(from, to);
      if (this.#isWatched(to)) this.#changed(to, undefined, () => fs.rmSync(to, { force: true }));
    };
  }

  #changed(path: string, kept: string | undefined, undo: () => void): void {
    if (this.#plan?.what === "power") this.#names.push({ folder: dirname(path), kept, undo });
  }

  /** Keeps a file under another name for as long as it may come back; undefined where there is none. */
  #keep(path: string): string | undefined {
    if (this.#plan?.what !== "power" || !fs.existsSync(path)) return undefined;
    const kept = join(this.#trash, `${process.pid}-${this.#kept++}`);
    fs.linkSync(path, kept);
    return kept;
  }
}

/** Puts something around a method of file handles. */
function replace(
  prototype: Record<string, Method>,
  name: string,
  around: (handle: FileHandle, work: () => Promise<unknown>, parameters: unknown[]) => Promise<unknown>,
): void {
  const original = prototype[name]!;
  prototype[name] = function (this: FileHandle, ...parameters) {
    return around(this, () => original.apply(this, parameters), parameters);
  };
}

function filesIn(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith("owner-"))
    .map((entry) => join(folder, entry.name));
}
