/**
 * Runs the real `mds` command as a process of its own, in a folder of its own, with nothing of this process's settings.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const MDS = fileURLToPath(new URL("../../bin/mds.js", import.meta.url));

export interface CommandOptions {
  /** Settings; the environment of the tests is not passed on. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** All of standard input; empty unless given. */
  readonly input?: string | Buffer;
}

export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand {
  readonly child: ChildProcessWithoutNullStreams;
  /** What it has written so far. */
  readonly output: { stdout: string; stderr: string };
  readonly done: Promise<CommandResult>;
}

/** Starts it with an open standard input. */
export function startMds(args: readonly string[], options: CommandOptions = {}): RunningCommand {
  return startProgram(process.execPath, [MDS, ...args], options);
}

/** Runs it to its end. */
export function mds(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return finished(startMds(args, options), options.input);
}

/** Starts any program in the same way. */
export function startProgram(program: string, args: readonly string[], options: CommandOptions = {}): RunningCommand {
  const child = spawn(program, args, { cwd: options.cwd ?? tmpdir(), env: { ...bareEnvironment(), ...options.env } });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  child.stdin.on("error", () => {});
  const done = once(child, "close").then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    ...output,
  }));
  return { child, output, done };
}

export function finished(running: RunningCommand, input: string | Buffer = ""): Promise<CommandResult> {
  running.child.stdin.end(input);
  return running.done;
}

/** A folder for one test file. */
export async function scratchFolder(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "mds-cli-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

function bareEnvironment(): Record<string, string> {
  const { PATH = "", HOME = "", TMPDIR } = process.env;
  return { PATH, HOME, ...(TMPDIR !== undefined && { TMPDIR }) };
}
