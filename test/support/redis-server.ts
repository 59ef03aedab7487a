/**
 * A real Redis for tests: on a free port of the loopback interface, in memory alone, ended with the tests. It can be
 * killed and started again on the same port.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants, mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const INSTALL_REDIS = "apt-get install redis-server";
const READY_DEADLINE_MS = 10_000;
const POLL_MS = 20;

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Ends the process at once, without a word to its clients. */
  kill(): Promise<void>;
  /** Starts it again, empty. */
  start(): Promise<void>;
  /** Holds the process, which then keeps its connections and answers nothing. */
  pause(): void;
  resume(): void;
  /** One command; the answer's lines as they came. */
  command(...parts: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** Where it is installed; undefined when it is not. */
async function findRedisServer(): Promise<string | undefined> {
  for (const folder of [...(process.env["PATH"] ?? "").split(":"), "/usr/bin", "/usr/local/bin"]) {
    const file = join(folder, "redis-server");
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  return undefined;
}

/** Says loudly what is not tested where there is none. */
export async function redisOrWarning(what: string): Promise<{ binary: string | undefined; missing: string }> {
  const binary = await findRedisServer();
  if (binary !== undefined) return { binary, missing: "" };
  console.warn(`SKIPPED: ${what} was not tested on Redis, which is not installed: ${INSTALL_REDIS}`);
  return { binary, missing: ` (not installed: ${INSTALL_REDIS})` };
}

/** Starts one; takes some milliseconds. */
export async function startRedis(binary: string): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), "mds-redis-"));
  const port = await freePort();
  let child: ChildProcess | undefined;
  const killNow = (): boolean => child?.kill("SIGKILL") ?? false; // it keeps nothing that could be lost
  const start = async (): Promise<void> => {
    const settings = [
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--save",
      "",
      "--appendonly",
      "no",
      "--dir",
      folder,
    ];
    child = spawn(binary, settings, { stdio: "ignore" });
    const deadline = performance.now() + READY_DEADLINE_MS;
    while ((await command(port, ["PING"]).catch(() => "")) !== "+PONG") {
      if (child.exitCode !== null || performance.now() > deadline)
        throw new Error(`redis-server did not start on ${port}`);
      await sleep(POLL_MS);
    }
  };
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    killNow();
    await once(child, "exit");
  };
  process.once("exit", killNow);
  await start();
  return {
    url: `redis://127.0.0.1:${port}/0`,
    port,
    kill,
    start,
    pause: () => void child?.kill("SIGSTOP"),
    resume: () => void child?.kill("SIGCONT"),
    command: (...parts) => command(port, parts),
    stop: async () => {
      process.off("exit", killNow);
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** What redis-cli would do; QUIT makes the server end the connection after its answers. */
async function command(port: number, parts: readonly string[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  for (const words of [parts, ["QUIT"]]) {
    socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`);
  }
  await once(socket, "close");
  return Buffer.concat(chunks)
    .toString()
    .replace(/\+OK\r\n$/, "")
    .trimEnd();
}
