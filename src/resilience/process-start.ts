/**
 * Whether a process of this machine still lives, and is still the same one, for pids are used again. Uses /proc on Linux
 * and ps elsewhere.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const PS_DEADLINE_MS = 5_000;

/** A text that tells this run of a process from all others with the same pid; undefined when it is not alive. */
export async function processStart(pid: number): Promise<string | undefined> {
  if (process.platform !== "linux") {
    const listed = await run("ps", ["-o", "lstart=", "-p", String(pid)], { timeout: PS_DEADLINE_MS }).catch(() => null);
    return listed?.stdout.trim() || undefined;
  }
  const line = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // The second field is the command in parentheses and may itself contain spaces and parentheses.
  const fields = line?.slice(line.lastIndexOf(")") + 2).split(" ");
  if (!fields || fields[0] === "Z" || fields[0] === "X") return undefined;
  // Start times count from boot, and pids start over with it.
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
  return `${boot.trim()}:${fields[19]}`;
}
