/** Which processes of this machine belong to the server of one data folder. Uses /proc on Linux and ps elsewhere. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { StoreError } from "../../errors/store-error.ts";

const run = promisify(execFile);
const PS_DEADLINE_MS = 5_000;
const POLL_MS = 20;

/** A process of the server of one data folder. */
export interface ServerProcess {
  readonly pid: number;
  /** The first process, which answers to shutdown signals; the others are its backends and workers. */
  readonly postmaster: boolean;
}

/** What identifies the server of one data folder among all processes. */
export interface ServerIdentity {
  /** Data folder of PostgreSQL, absolute and without links. */
  readonly cluster: string;
  /** Owner of the processes. */
  readonly uid: number;
}

/** A name for the server of a data folder; PostgreSQL shows it in the titles of its processes. */
export function clusterName(cluster: string): string {
  return `mds-${createHash("sha256").update(cluster).digest("hex").slice(0, 12)}`;
}

/** The live processes of the server of one data folder, including backends whose postmaster is gone. */
export async function serverProcesses(identity: ServerIdentity): Promise<ServerProcess[]> {
  const title = `postgres: ${clusterName(identity.cluster)}: `;
  const found: ServerProcess[] = [];
  for (const { pid, command } of await commandLines(identity.uid)) {
    const postmaster = command.includes(` -D ${identity.cluster} `);
    if (postmaster || command.startsWith(title)) found.push({ pid, postmaster });
  }
  return found;
}

/**
 * Stops the server of a data folder that no live process owns: fast, then immediate, then by force.
 * @returns the pids that were stopped.
 * @throws StoreError `embedded_failed` when something survives.
 */
export async function stopServerProcesses(identity: ServerIdentity): Promise<number[]> {
  const first = await serverProcesses(identity);
  let found = first;
  // Backends without a postmaster have nobody to shut them down in order, and their shared memory is lost anyway.
  const hasPostmaster = first.some((one) => one.postmaster);
  const steps = [
    { signal: "SIGINT", graceMs: hasPostmaster ? 10_000 : 0 },
    { signal: "SIGQUIT", graceMs: 3_000 },
    { signal: "SIGKILL", graceMs: 3_000 },
  ] as const;
  for (const { signal, graceMs } of steps) {
    // To a backend SIGINT means "cancel the statement", so only the postmaster gets it.
    for (const one of found) if (one.postmaster || signal !== "SIGINT") send(one.pid, signal);
    const deadline = performance.now() + graceMs;
    while (found.length > 0 && performance.now() < deadline) {
      await wait(POLL_MS);
      found = await serverProcesses(identity);
    }
  }
  if (found.length === 0) return first.map((one) => one.pid);
  throw new StoreError(
    "embedded_failed",
    `An earlier PostgreSQL of ${identity.cluster} does not stop (processes ${found.map((one) => one.pid).join(", ")}): end it, then start again.`,
  );
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself; whoever is left is seen by the next look.
  }
}

/** Arguments joined and ended by spaces. */
async function commandLines(uid: number): Promise<{ pid: number; command: string }[]> {
  if (process.platform !== "linux") {
    const { stdout } = await run("ps", ["-axww", "-o", "pid=,command="], { timeout: PS_DEADLINE_MS });
    return stdout.split("\n").map((line) => {
      const [, pid = "0", command = ""] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? [];
      return { pid: Number(pid), command: `${command} ` };
    });
  }
  const all: { pid: number; command: string }[] = [];
  for (const entry of await readdir("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    try {
      // Not cwd or exe: reading those of another user takes a capability that root lacks in most containers.
      const command = (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
      if (command.includes("postgres") && (await stat(`/proc/${pid}`)).uid === uid) all.push({ pid, command });
    } catch {
      // It ended between being listed and being read.
    }
  }
  return all;
}
