/**
 * A PostgreSQL for tests: made in a temporary folder out of the embedded binaries, without syncing to disk, reached over
 * a Unix socket. A small guard process ends the server and removes the folder when it is stopped and also when this
 * process dies in whatever way.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { locateBinaries, makeUsable } from "../../src/database/embedded/binaries.ts";
import { prepareCluster, urlsOf } from "../../src/database/embedded/cluster.ts";
import { candidateUsers, firstBarrier } from "../../src/database/embedded/os-user.ts";
import type { Place } from "../../src/database/embedded/place.ts";
import { startServer } from "../../src/database/embedded/server.ts";
import { makeSocketFolder, socketFolder } from "../../src/database/embedded/socket-folder.ts";

const KILLED_WITHIN_MS = 10_000;

/** A running throw-away cluster with an empty database `mds`. */
export interface ThrowawayCluster {
  /** The ordinary login `mds_service`. */
  readonly url: string;
  /** The superuser. */
  readonly adminUrl: string;
  /** Ends the server in order, or with `kill` it and all its processes in one moment, as a crash does. */
  end(how: "shutdown" | "kill"): Promise<void>;
  /** Starts the server again on what it left. */
  restart(): Promise<void>;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

// Waits for the end of its input, which comes when this process closes it or dies. A folder may get new files from a
// tool that is still at work, hence the attempts.
const GUARD = `
read -r _
pid=$(head -n 1 "$1/cluster/postmaster.pid" 2>/dev/null)
case "$pid" in
  "" | *[!0-9]*) ;;
  *)
    kill -QUIT "$pid" 2>/dev/null
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
    kill -KILL "$pid" 2>/dev/null
    ;;
esac
tries=0
until rm -rf "$1" 2>/dev/null || [ "$tries" -ge 20 ]; do sleep 0.2; tries=$((tries + 1)); done
`;

/** Starts a cluster; takes about a second. */
export async function startThrowawayCluster(): Promise<ThrowawayCluster> {
  const place = await temporaryPlace();
  const guard = spawn("/bin/sh", ["-c", GUARD, "sh", place.home], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  try {
    const binaries = await makeUsable(await locateBinaries(), place.home, place.runAs, []);
    const credentials = await prepareCluster(place, binaries, "throwaway");
    const socketDir = socketFolder(place);
    await makeSocketFolder(socketDir, place);
    const urls = urlsOf(credentials, socketDir);
    const plan = { place, binaries, socketDir, durability: "throwaway", url: urls.url } as const;
    let server = await startServer(plan, new AbortController().signal);
    return {
      ...urls,
      end: async (how) => {
        if (how === "shutdown") return server.stop();
        await killTree(server.pid);
        await server.exited;
      },
      restart: async () => {
        server = await startServer(plan, new AbortController().signal);
      },
      stop: () => release(guard),
    };
  } catch (error) {
    await release(guard);
    throw error;
  }
}

/**
 * A process and its children at once; where they cannot be listed, the children end by themselves soon. A server does not
 * start while one of them is still about to end, so their ends are waited for.
 */
async function killTree(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP"); // It starts no further ones.
  const children = await childrenOf(pid);
  for (const child of children) {
    try {
      process.kill(child, "SIGKILL");
    } catch {} // It was gone already.
  }
  process.kill(pid, "SIGKILL");
  const deadline = performance.now() + KILLED_WITHIN_MS;
  for (const child of children) {
    while ((await isRunning(child)) && performance.now() < deadline) await wait(5);
  }
}

async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "latin1").catch(() => "");
  return status !== "" && !/^State:\s*[ZX]/m.test(status);
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "latin1").catch(() => "");
  return text
    .split(" ")
    .filter((word) => word !== "")
    .map(Number);
}

async function release(guard: ChildProcess): Promise<void> {
  if (guard.exitCode !== null) return;
  guard.stdin?.end();
  await once(guard, "exit");
}

/** In the system's temporary folder, or in /tmp when the OS user of the server cannot reach that one. */
async function temporaryPlace(): Promise<Place> {
  const [runAs] = (await candidateUsers()) ?? [];
  const parent = runAs && (await firstBarrier(tmpdir(), runAs)) !== undefined ? "/tmp" : tmpdir();
  const home = await mkdtemp(join(parent, "mds-test-"));
  await chmod(home, 0o711);
  const uid = runAs?.uid ?? process.getuid?.() ?? -1;
  return { home, cluster: join(home, "cluster"), runAs, uid, notices: [] };
}
