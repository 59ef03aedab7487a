/** A Redis of the benchmark's own: on a free port of the loopback interface, in memory alone, gone afterwards. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { RedisBus } from "../feedback/redis-bus.ts";

const READY_DEADLINE_MS = 5_000;
const POLL_MS = 20;
const QUIET = { info: () => undefined, warn: () => undefined };

export interface RedisProcess {
  /** Opens a bus on it and waits until it is connected. */
  openBus(): Promise<RedisBus>;
  stop(): Promise<void>;
}

/** Undefined where no redis-server is installed. */
export async function startRedisProcess(): Promise<RedisProcess | undefined> {
  const port = await freePort();
  const settings = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const child = spawn("redis-server", settings, { stdio: "ignore" });
  const spawned = await Promise.race([once(child, "spawn").then(() => true), once(child, "error").then(() => false)]);
  if (!spawned) return undefined;
  const url = `redis://127.0.0.1:${port}`;
  return { openBus: () => openBus(url), stop: () => stop(child) };
}

async function openBus(url: string): Promise<RedisBus> {
  const bus = await RedisBus.open({ url, log: QUIET });
  const deadline = performance.now() + READY_DEADLINE_MS;
  while (!bus.health().connected && performance.now() < deadline) await sleep(POLL_MS);
  return bus;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill("SIGKILL"); // it keeps nothing that could be lost
  await once(child, "exit");
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
