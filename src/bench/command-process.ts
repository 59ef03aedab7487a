/** The `mds` command as a process of its own: found, run to its end, its memory watched. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { StoreError } from "../errors/store-error.ts";
import { goOn } from "./measure.ts";
import type { ScenarioReport } from "./scenario.ts";

/** The command of this package. */
export const COMMAND = fileURLToPath(new URL("../../bin/mds.js", import.meta.url));
/** The system keeps the peak itself; the last look must only come before the process is gone. */
const LOOK_INTERVAL_MS = 20;

/** Whether the command is there to be run. */
export function hasCommand(): boolean {
  return existsSync(COMMAND);
}

/** A way to run the command: the path of its launcher. */
export interface CommandForm {
  readonly form: "built" | "sources";
  readonly path: string;
}

/**
 * The forms of the command that are here: an installed package is built, a clone runs its sources, and where it was built
 * as well, a copy of the launcher in `folder` runs that.
 */
export async function commandForms(folder: string): Promise<readonly CommandForm[]> {
  const root = new URL("../../", import.meta.url);
  if (!existsSync(new URL("src/cli/main.ts", root))) return [{ form: "built", path: COMMAND }];
  const sources: CommandForm = { form: "sources", path: COMMAND };
  if (!existsSync(new URL("dist/cli/main.js", root))) return [sources];
  // Without sources beside it, the launcher takes the build.
  await mkdir(join(folder, "bin"));
  await copyFile(COMMAND, join(folder, "bin/mds.js"));
  for (const name of ["package.json", "dist"]) await symlink(fileURLToPath(new URL(name, root)), join(folder, name));
  return [{ form: "built", path: join(folder, "bin/mds.js") }, sources];
}

/** What a scenario says that needs the command where it is not. */
export const NO_COMMAND: ScenarioReport = {
  figures: [],
  targets: [],
  notes: ["Not measured: the command bin/mds.js is not here."],
};

/** Processor time that a process has taken, in ms; null where the system does not tell. */
export async function processorMsOf(pid: number | undefined): Promise<number | null> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  let ms = 0;
  for (const task of tasks) {
    // Begins with the nanoseconds that the thread has run.
    const text = await readFile(`/proc/${pid}/task/${task}/schedstat`, "latin1").catch(() => "0");
    ms += Number(text.split(" ")[0]) / 1e6;
  }
  return tasks.length === 0 ? null : ms;
}

/** A figure out of what Linux tells of a process, in bytes; null where the system or the process is another one. */
export async function memoryOf(pid: number | undefined, figure: "VmRSS" | "VmHWM"): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, "latin1").catch(() => "");
  const kilobytes = new RegExp(`${figure}:\\s+(\\d+) kB`).exec(status)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1_024;
}

/**
 * Runs the command; `environment` is all of its environment.
 *
 * @throws StoreError `internal` when it does not end with 0, `aborted`.
 */
export async function runCommand(
  args: readonly string[],
  folder: string,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ readonly ms: number; readonly peakBytes: number | null }> {
  goOn(signal);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [COMMAND, ...args], {
    cwd: folder,
    env: environment,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said = `${said}${chunk.toString()}`.slice(-1_000);
  });
  let peakBytes: number | null = null;
  const look = async (): Promise<void> => {
    peakBytes = (await memoryOf(child.pid, "VmHWM")) ?? peakBytes;
  };
  const looking = setInterval(() => void look(), LOOK_INTERVAL_MS);
  const stop = (): boolean => child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  try {
    const [code] = (await once(child, "exit")) as [number | null];
    goOn(signal);
    if (code !== 0) throw new StoreError("internal", `\`mds ${args.join(" ")}\` ended with ${code}: ${said.trim()}`);
    return { ms: performance.now() - startedAt, peakBytes };
  } finally {
    clearInterval(looking);
    signal.removeEventListener("abort", stop);
  }
}
