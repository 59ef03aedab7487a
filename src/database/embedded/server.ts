/**
 * One run of the server: started as its OS user, ready when it accepts the service's login, stopped in bounded time.
 * It writes to a log file of bounded size, never to the streams of this process. It does not start itself again.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, copyFile, open, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Client, DatabaseError } from "pg";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import type { Binaries } from "./binaries.ts";
import { SERVER_ENVIRONMENT } from "./cluster.ts";
import type { Place } from "./place.ts";
import { ACCESS_RULES, type Durability, serverSettings } from "./settings.ts";

const READY_DEADLINE_MS = 30_000;
/** Replaying max_wal_size of log after a crash takes a minute on a slow disk. */
const RECOVERY_DEADLINE_MS = 600_000;
const READY_POLL_MS = 10;
/** SQLSTATE of a server that does not take connections yet. */
const STARTING_UP = "57P03";
const CONNECT_DEADLINE_MS = 5_000;
const STOP_STEPS = [
  { signal: "SIGINT", graceMs: 5_000 },
  { signal: "SIGQUIT", graceMs: 2_000 },
  { signal: "SIGKILL", graceMs: 2_000 },
] as const;
/** Months of quiet operation; one older file of the same size is kept. */
const MAX_LOG_BYTES = 8 * 1024 * 1024;
const LOG_TAIL_BYTES = 2_048;
const LOG_TAIL_LINES = 3;

/** What a run of the server needs. */
export interface ServerPlan {
  readonly place: Place;
  readonly binaries: Binaries;
  readonly socketDir: string;
  readonly durability: Durability;
  /** Connection that must work before the server counts as ready. */
  readonly url: string;
}

/** How a server ended. */
export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A server that accepts connections. */
export interface RunningServer {
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<ServerExit>;
  /** Ends it: fast, then immediate, then by force. Resolves when it is gone; may be called again. */
  stop(): Promise<void>;
  /** Asks for a fast shutdown without waiting; for the last moment of this process. */
  signalStop(): void;
}

/** The server's log. */
export function logPath(place: Place): string {
  return join(place.home, "server.log");
}

/** Moves a log that has grown over its bound aside; the server keeps writing to the same file. */
export async function boundLog(path: string): Promise<void> {
  const facts = await stat(path).catch(() => undefined);
  if (!facts || facts.size <= MAX_LOG_BYTES) return;
  await copyFile(path, `${path}.1`);
  await truncate(path);
}

/**
 * Starts the server and waits until it accepts connections.
 * @throws StoreError `embedded_failed` with the end of the server's log, or `aborted`.
 */
export async function startServer(plan: ServerPlan, signal: AbortSignal): Promise<RunningServer> {
  const { place, binaries } = plan;
  const settings = await writeSettings(plan);
  await boundLog(logPath(place));
  const log = await open(logPath(place), "a", 0o600);
  try {
    const logStart = (await log.stat()).size;
    const args = ["-D", place.cluster, "-c", `config_file=${settings}`];
    const child = spawn(join(binaries.folder, "bin", "postgres"), args, {
      cwd: "/",
      env: SERVER_ENVIRONMENT,
      stdio: ["ignore", log.fd, log.fd],
      // A session of its own: Ctrl-C in a terminal is for this process, which stops the server when it has drained.
      detached: true,
      ...(place.runAs && { uid: place.runAs.uid, gid: place.runAs.gid }),
    });
    const server = await running(child);
    try {
      await untilReady(plan.url, server.exited, signal);
      return server;
    } catch (cause) {
      await server.stop();
      if (signal.aborted) throw aborted();
      const said = await logTail(logPath(place), logStart);
      throw startFailed(`${messageOf(cause)}${said}`, place, cause);
    }
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    throw startFailed(messageOf(cause), place, cause);
  } finally {
    await log.close();
  }
}

/** Writes the files that the server reads, and returns the path of the main one. */
async function writeSettings({ place, socketDir, durability }: ServerPlan): Promise<string> {
  const settings = join(place.home, "postgresql.conf");
  const rules = join(place.home, "pg_hba.conf");
  await writeFile(settings, serverSettings(place.home, place.cluster, socketDir, durability));
  await writeFile(rules, ACCESS_RULES);
  // They hold no secrets, and the OS user of the server must be able to read them whatever the umask is.
  for (const path of [settings, rules]) await chmod(path, 0o644);
  return settings;
}

async function running(child: ChildProcess): Promise<RunningServer> {
  const exited = new Promise<ServerExit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  await once(child, "spawn");
  const stop = async (): Promise<void> => {
    for (const { signal, graceMs } of STOP_STEPS) {
      child.kill(signal);
      const waiting = new AbortController();
      const late = wait(graceMs, "late", { signal: waiting.signal }).catch(() => "late");
      const result = await Promise.race([exited, late]);
      waiting.abort();
      if (result !== "late") return;
    }
  };
  return { pid: child.pid ?? -1, exited, stop, signalStop: () => void child.kill("SIGINT") };
}

async function untilReady(url: string, exited: Promise<ServerExit>, signal: AbortSignal): Promise<void> {
  const startedAt = performance.now();
  let exit: ServerExit | undefined;
  void exited.then((how) => {
    exit = how;
  });
  for (;;) {
    const refusal = await tryLogin(url);
    if (refusal === undefined) return;
    if (signal.aborted) throw aborted();
    if (exit) throw new StoreError("embedded_failed", `it ended at once (${describeExit(exit)})`);
    const recovering = refusal instanceof DatabaseError && refusal.code === STARTING_UP;
    // Anything else that the server itself answers (a wrong password, no such database) does not change by waiting.
    if (refusal instanceof DatabaseError && !recovering) throw refusal;
    if (performance.now() - startedAt > (recovering ? RECOVERY_DEADLINE_MS : READY_DEADLINE_MS)) throw refusal;
    await wait(READY_POLL_MS);
  }
}

async function tryLogin(url: string): Promise<unknown> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: CONNECT_DEADLINE_MS });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** For people: how a process ended. */
export function describeExit(exit: ServerExit): string {
  return exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
}

async function logTail(path: string, from: number): Promise<string> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const start = Math.max(from, size - LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LOG_TAIL_BYTES), 0, LOG_TAIL_BYTES, start);
    const lines = buffer.toString("utf8", 0, bytesRead).trim().split("\n").slice(-LOG_TAIL_LINES);
    return lines[0] ? `; its log ends: ${lines.join(" | ")}` : "";
  } finally {
    await file.close();
  }
}

function startFailed(why: string, place: Place, cause: unknown): StoreError {
  return new StoreError(
    "embedded_failed",
    `The embedded PostgreSQL did not start: ${why} (the whole log: ${logPath(place)}).`,
    { cause },
  );
}

function aborted(): StoreError {
  return new StoreError("aborted", "The start of the embedded database was stopped.");
}
