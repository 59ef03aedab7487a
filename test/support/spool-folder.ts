/** A folder with spools in it, for one test. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DiskSpool } from "../../src/coordinator/spool/disk-spool.ts";
import { openSpool, type SpoolOptions } from "../../src/coordinator/spool/open-spool.ts";
import type { SpoolLog } from "../../src/coordinator/spool/spool-log-port.ts";

export const MIB = 1_048_576;

export class SpoolFolder {
  readonly path: string;
  /** What was logged. */
  readonly lines: { readonly level: string; readonly message: string }[] = [];
  readonly #open: DiskSpool[] = [];

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<SpoolFolder> {
    return new SpoolFolder(await mkdtemp(join(tmpdir(), "mds-spool-")));
  }

  async open(options: Partial<SpoolOptions> = {}): Promise<DiskSpool> {
    const logged = (level: string) => (_: object, message: string) => void this.lines.push({ level, message });
    const log = { info: logged("info"), warn: logged("warn"), error: logged("error") };
    const spool = await openSpool({ folder: this.path, maxBytes: 16 * MIB, log, ...options });
    this.#open.push(spool);
    return spool;
  }

  /** Messages logged as errors. */
  get errors(): string[] {
    return this.lines.filter(({ level }) => level === "error").map(({ message }) => message);
  }

  async segments(): Promise<string[]> {
    const names = (await readdir(this.path)).filter((name) => name.startsWith("segment-") && name.endsWith(".log"));
    return names.sort().map((name) => join(this.path, name));
  }

  async remove(): Promise<void> {
    for (const spool of this.#open) await spool.close();
    await rm(this.path, { recursive: true });
  }
}

export const record = (text: string): Uint8Array => Buffer.from(text);

/** What a spool gives back, as `number:text`. */
export async function texts(spool: SpoolLog, from?: number): Promise<string[]> {
  const all: string[] = [];
  for await (const batch of spool.read(from)) {
    for (const one of batch) all.push(`${one.sequence}:${Buffer.from(one.record).toString()}`);
  }
  return all;
}
