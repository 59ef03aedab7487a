/**
 * A real PgBouncer in transaction mode in front of a test database, reached over a Unix socket. It has two connections
 * to the server, so that whoever comes third gets one that somebody else has just used.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chown, constants, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { candidateUsers } from "../../src/database/embedded/os-user.ts";

export const INSTALL_PGBOUNCER = "apt-get install pgbouncer";
const SERVER_CONNECTIONS = 2;
const PORT = 6432;
const READY_DEADLINE_MS = 10_000;
const POLL_MS = 20;

export interface PgBouncer {
  /** A login's connection string by way of the pooler. */
  urlOf(login: string): string;
  stop(): Promise<void>;
}

/** Where Debian and others put it; undefined when it is not installed. */
export async function findPgBouncer(): Promise<string | undefined> {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];
  for (const folder of folders) {
    const file = join(folder, "pgbouncer");
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  return undefined;
}

/** Starts it for the logins of these URLs, which are of one database. */
export async function startPgBouncer(binary: string, serverUrls: readonly string[]): Promise<PgBouncer> {
  const [user] = (await candidateUsers()) ?? []; // like PostgreSQL, it refuses to run as root
  const folder = await mkdtemp(join(user === undefined ? tmpdir() : "/tmp", "mds-pooler-"));
  const server = new URL(serverUrls[0]!);
  const database = server.pathname.slice(1);
  const host = server.searchParams.get("host") ?? server.hostname;
  const config = join(folder, "pgbouncer.ini");
  const users = join(folder, "users.txt");
  await writeFile(config, settings({ database, host, port: server.port === "" ? "5432" : server.port, folder, users }));
  await writeFile(users, serverUrls.map(userLine).join("\n"), { mode: 0o600 });
  if (user !== undefined) for (const path of [config, users, folder]) await chown(path, user.uid, user.gid);
  const child = spawn(binary, [config], { stdio: "ignore", ...(user && { uid: user.uid, gid: user.gid }) });
  const kill = (): boolean => child.kill("SIGKILL"); // it keeps nothing that could be lost
  process.once("exit", kill);
  const stop = async (): Promise<void> => {
    process.off("exit", kill);
    if (child.exitCode === null && child.signalCode === null) {
      kill();
      await once(child, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  };
  const urlOf = (login: string): string =>
    `postgres://${encodeURIComponent(login)}@localhost:${PORT}/${database}?host=${encodeURIComponent(folder)}`;
  try {
    await untilReady(child, urlOf(decodeURIComponent(server.username)), join(folder, "log"));
  } catch (error) {
    await stop();
    throw error;
  }
  return { urlOf, stop };
}

function settings(at: Readonly<Record<"database" | "host" | "port" | "folder" | "users", string>>): string {
  return `[databases]
${at.database} = host=${at.host} port=${at.port} dbname=${at.database}
[pgbouncer]
listen_addr =
listen_port = ${PORT}
unix_socket_dir = ${at.folder}
logfile = ${join(at.folder, "log")}
auth_type = trust
auth_file = ${at.users}
pool_mode = transaction
default_pool_size = ${SERVER_CONNECTIONS}
max_client_conn = 200
`;
}

function userLine(url: string): string {
  const { username, password } = new URL(url);
  const quoted = [username, password].map((part) => `"${decodeURIComponent(part).replaceAll('"', '""')}"`);
  return quoted.join(" ");
}

async function untilReady(child: ChildProcess, url: string, log: string): Promise<void> {
  const deadline = performance.now() + READY_DEADLINE_MS;
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    try {
      await client.connect();
      await client.query("select 1");
      return;
    } catch (error) {
      if (child.exitCode !== null)
        throw new Error(`pgbouncer ended with ${child.exitCode}; see ${log}`, { cause: error });
      if (performance.now() > deadline) throw error;
      await sleep(POLL_MS);
    } finally {
      await client.end().catch(() => {});
    }
  }
}
