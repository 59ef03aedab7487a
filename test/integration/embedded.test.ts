/** The embedded database with real servers and real processes, killed in every way that a machine kills them. */
import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  rmdir,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { unprivilegedUsers } from "../../src/database/embedded/os-user.ts";
import { type ServerProcess, serverProcesses } from "../../src/database/embedded/processes.ts";
import {
  attachEmbedded,
  type EmbeddedDatabase,
  type EmbeddedOptions,
  openEmbedded,
} from "../../src/database/embedded.ts";
import { StoreError } from "../../src/errors/store-error.ts";
import type { OwnerReport } from "../support/embedded-owner.ts";

const OWNER = join(import.meta.dirname, "../support/embedded-owner.ts");
const isRoot = process.getuid?.() === 0;

let scratch: string;
let dataDir: string;
let logged: string[];
let cleanups: (() => Promise<unknown>)[];

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "mds-embedded-"));
  await chmod(scratch, 0o755);
  dataDir = join(scratch, ".mds");
  logged = [];
  cleanups = [];
});

afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  await rm(scratch, { recursive: true, force: true });
});

async function open(options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedDatabase> {
  const note = (_details: object, message: string): void => void logged.push(message);
  const database = await openEmbedded({ dataDir, log: { info: note, warn: note, error: note }, ...options });
  cleanups.push(() => database.stop());
  return database;
}

/** Starts another process that opens the database, and waits for what it reports. */
async function startOwner(
  args: readonly string[] = ["embedded", dataDir],
  user: { uid?: number; gid?: number } = {},
): Promise<{ child: ChildProcess; report: OwnerReport }> {
  const child = fork(OWNER, args, { execArgv: [], stdio: ["ignore", "inherit", "inherit", "ipc"], ...user });
  cleanups.push(() => end(child));
  const [report] = (await once(child, "message")) as [OwnerReport];
  return { child, report };
}

async function end(child: ChildProcess, signal?: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  if (signal) child.kill(signal);
  else if (child.connected) child.send("stop");
  await exit;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function processesOf(folder = join(dataDir, "postgres")): Promise<ServerProcess[]> {
  const cluster = join(folder, "cluster");
  return existsSync(cluster) ? serverProcesses({ cluster, uid: (await stat(cluster)).uid }) : [];
}

async function entriesOf(folder: string): Promise<string[]> {
  return readdir(folder).catch((): string[] => []);
}

async function postmaster(): Promise<number> {
  return (await processesOf()).find((one) => one.postmaster)?.pid ?? -1;
}

async function until<T>(look: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  const deadline = performance.now() + 20_000;
  while (performance.now() < deadline) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    await wait(5);
  }
  throw new Error("what was waited for did not happen within 20 s");
}

async function failure(promise: Promise<unknown>): Promise<StoreError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(StoreError);
  return error as StoreError;
}

describe("start and stop", () => {
  it("makes a database at the first start and finds its data at the second", async () => {
    const first = await open();
    expect(first.notices.join()).toContain(join(dataDir, "postgres"));
    await query(first.adminUrl, "create table kept as select 42 as answer");
    await first.stop();
    expect(await processesOf()).toEqual([]);

    const second = await open();
    expect([second.url, second.adminUrl]).toEqual([first.url, first.adminUrl]);
    expect(await query(second.adminUrl, "select answer from kept")).toEqual([{ answer: 42 }]);
    await second.stop();
    expect(await processesOf()).toEqual([]);
    expect(logged).toEqual([]);
  });

  it("has an ordinary login and a superuser, a fixed order of text, checksums, UTC and no TCP", async () => {
    const { url, adminUrl } = await open();
    const who = "select current_user::text as name, rolsuper from pg_roles where rolname = current_user";
    expect(await query(url, who)).toEqual([{ name: "mds_service", rolsuper: false }]);
    expect(await query(adminUrl, who)).toEqual([{ name: "postgres", rolsuper: true }]);
    const settings = await query(
      url,
      `select current_setting('data_checksums') as checksums, current_setting('TimeZone') as zone,
              current_setting('listen_addresses') as tcp, current_setting('fsync') as fsync,
              current_setting('server_encoding') as encoding, datlocprovider::text as provider, datlocale as locale
         from pg_database where datname = current_database()`,
    );
    expect(settings).toEqual([
      { checksums: "on", zone: "UTC", tcp: "", fsync: "on", encoding: "UTF8", provider: "b", locale: "C.UTF-8" },
    ]);
    const wrong = url.replace(/:[^:@]+@/, ":wrong@");
    await expect(query(wrong, "select 1")).rejects.toMatchObject({ code: "28P01" });
  });

  it("keeps its passwords in one private file, out of process lists, logs and settings", async () => {
    const { url, adminUrl } = await open();
    const home = join(dataDir, "postgres");
    expect((await stat(join(home, "credentials.json"))).mode & 0o777).toBe(0o600);
    const elsewhere = [
      execFileSync("ps", ["-eww", "-o", "command="], { encoding: "utf8" }),
      await readFile(join(home, "server.log"), "utf8"),
      await readFile(join(home, "postgresql.conf"), "utf8"),
    ].join("\n");
    expect(elsewhere).toContain("postgres");
    for (const password of [url, adminUrl].map((one) => new URL(one).password)) {
      expect(password.length).toBeGreaterThanOrEqual(32);
      expect(elsewhere).not.toContain(password);
    }
  });

  it("uses a short socket path when the data folder's is too long", async () => {
    dataDir = join(scratch, "x".repeat(120), ".mds");
    const database = await open();
    const { url } = database;
    const socketDir = new URL(url).searchParams.get("host") ?? "";
    expect(socketDir.length).toBeLessThan(60);
    expect((await stat(socketDir)).mode & 0o777).toBe(0o700);
    expect(await query(url, "select 1 as one")).toEqual([{ one: 1 }]);
    await database.stop();
    expect(existsSync(socketDir)).toBe(false);
  });

  it("can be stopped while it starts, and then started", async () => {
    const aborting = new AbortController();
    const starting = open({ signal: aborting.signal });
    await until(async () => (await entriesOf(join(dataDir, "postgres"))).includes("credentials.json"));
    aborting.abort();
    expect((await failure(starting)).code).toBe("aborted");
    expect(await query((await open()).url, "select 1 as one")).toEqual([{ one: 1 }]);
  });
});

describe("one owner", () => {
  it("refuses a second owner, naming the first", async () => {
    const { child, report } = await startOwner();
    expect(report.state).toBe("open");
    const refused = await failure(open());
    expect(refused.code).toBe("embedded_in_use");
    expect(refused.message).toContain(`pid ${child.pid}`);
    expect(refused.message).toContain("MDS_DATA_DIR");
    await end(child);
    await open();
    expect((await failure(open())).message).toContain("this process itself");
  });

  it("lets exactly one of several starts at once win", async () => {
    const owners = await Promise.all([startOwner(), startOwner(), startOwner()]);
    const winners = owners.filter((one) => one.report.state === "open");
    expect(winners).toHaveLength(1);
    for (const { report } of owners) {
      if (report.state === "open") continue;
      expect(report.code).toBe("embedded_in_use");
      expect(report.message).toContain(`pid ${winners[0]?.child.pid}`);
    }
  });

  it("lets other processes attach while the owner lives", async () => {
    expect(await attachEmbedded({ dataDir })).toBeUndefined();
    expect(existsSync(dataDir)).toBe(false);
    const { child, report } = await startOwner();
    const attached = await attachEmbedded({ dataDir });
    expect(report).toMatchObject({ ...attached });
    expect(await query(attached?.adminUrl ?? "", "select 1 as one")).toEqual([{ one: 1 }]);
    await end(child);
    expect(await attachEmbedded({ dataDir })).toBeUndefined();
  });

  it("takes over from an owner that was killed: its server is ended, its data kept", async () => {
    const { child, report } = await startOwner();
    if (report.state !== "open") throw new Error(report.message);
    await query(report.adminUrl, "create table kept as select 42 as answer");
    const orphan = await postmaster();
    await end(child, "SIGKILL");
    expect(await postmaster()).toBe(orphan);
    expect(await attachEmbedded({ dataDir })).toBeUndefined();

    const { adminUrl } = await open();
    expect(await query(adminUrl, "select answer from kept")).toEqual([{ answer: 42 }]);
    expect(await postmaster()).not.toBe(orphan);
    expect((await processesOf()).map((one) => one.pid)).not.toContain(orphan);
    expect(logged).toEqual([expect.stringContaining("earlier run")]);
  });

  it("is not misled by pids that other processes have by now", async () => {
    await (await open()).stop();
    const home = join(dataDir, "postgres");
    await writeFile(join(home, "owner-7.json"), JSON.stringify({ pid: process.pid, started: "another boot:1" }));
    const cluster = await stat(join(home, "cluster"));
    const sleeper = spawn("sleep", ["60"], { ...(isRoot && { uid: cluster.uid, gid: cluster.gid }) });
    cleanups.push(() => end(sleeper, "SIGKILL"));
    const pidFile = join(home, "cluster", "postmaster.pid");
    await writeFile(pidFile, `${sleeper.pid}\n${join(home, "cluster")}\n1700000000\n5432\n/nowhere\n\n  1  1\n`);
    await chown(pidFile, cluster.uid, cluster.gid);

    const { url } = await open();
    expect(await query(url, "select 1 as one")).toEqual([{ one: 1 }]);
    expect(sleeper.exitCode).toBeNull();
    expect(sleeper.signalCode).toBeNull();
  });
});

describe("supervision", () => {
  it("starts a killed server again under the same URLs, even when a backend outlives it", async () => {
    const database = await open();
    const { url, adminUrl } = database;
    await query(adminUrl, "create table kept as select 42 as answer");
    const killed = await postmaster();
    // A backend that computes does not notice that its postmaster is gone.
    const busy = query(url, "select sum(n) from generate_series(1, 100000000000) as n").catch((error: Error) => error);
    await until(
      async () => (await query(adminUrl, "select 1 from pg_stat_activity where query like 'select sum%'"))[0],
    );
    process.kill(killed, "SIGKILL");
    await until(() => logged.some((line) => line.includes("running again")));

    expect(await query(adminUrl, "select answer from kept")).toEqual([{ answer: 42 }]);
    expect(await busy).toBeInstanceOf(Error);
    expect(await postmaster()).not.toBe(killed);
    expect(logged.filter((line) => line.includes("ended by itself"))).toEqual([expect.stringContaining("SIGKILL")]);
    await database.stop();
    expect(await processesOf()).toEqual([]);
  });

  it("does not start it again after stop(), also when both come together", async () => {
    const database = await open();
    process.kill(await postmaster(), "SIGKILL");
    await database.stop();
    expect(await until(async () => (await processesOf()).length === 0)).toBe(true);
    expect(logged.filter((line) => line.includes("running again"))).toEqual([]);
  });
});

describe("damage", () => {
  it("refuses data of another major version of PostgreSQL", async () => {
    await (await open()).stop();
    await writeFile(join(dataDir, "postgres", "cluster", "PG_VERSION"), "17\n");
    const refused = await failure(open());
    expect(refused.code).toBe("embedded_failed");
    expect(refused.message).toMatch(/written by PostgreSQL 17 .* binaries are 18\./);
  });

  it("starts after a start that was killed in the middle of making the database", async () => {
    const child = fork(OWNER, ["embedded", dataDir], { execArgv: [], stdio: "ignore" });
    const home = join(dataDir, "postgres");
    const isHalf = (entry: string): boolean => entry.startsWith("cluster.new-");
    await until(async () => (await entriesOf(home)).some(isHalf));
    await end(child, "SIGKILL");
    expect(existsSync(join(home, "cluster"))).toBe(false);

    const first = await open();
    expect(await query(first.url, "select 1 as one")).toEqual([{ one: 1 }]);
    await first.stop();
    // At the first start a tool of the killed process may still have been at work there.
    await open();
    expect((await entriesOf(home)).filter(isHalf)).toEqual([]);
  });

  it("makes new passwords when their file is lost", async () => {
    const before = await open();
    await before.stop();
    await rm(join(dataDir, "postgres", "credentials.json"));
    const { url, adminUrl } = await open();
    expect(url).not.toBe(before.url);
    for (const one of [url, adminUrl]) expect(await query(one, "select 1 as one")).toEqual([{ one: 1 }]);
  });

  it("says why the server did not start, with the end of its log and where that is", async () => {
    await (await open()).stop();
    await appendFile(join(dataDir, "postgres", "cluster", "postgresql.auto.conf"), "shared_buffers = 'plenty'\n");
    const refused = await failure(open());
    expect(refused.code).toBe("embedded_failed");
    expect(refused.message).toContain("shared_buffers");
    expect(refused.message).toContain(join(dataDir, "postgres", "server.log"));
  });
});

describe.runIf(isRoot)("as root", () => {
  it("keeps the data where the OS user of the server can reach it, and finds it there again", async () => {
    await chmod(scratch, 0o700);
    const first = await open();
    const home =
      /in (\/var\/lib\/market-data-store\/mds-embedded-[^ ]+), because/.exec(first.notices[0] ?? "")?.[1] ?? "";
    cleanups.unshift(async () => {
      await rm(home, { recursive: true, force: true });
      await rmdir(dirname(home)).catch(() => undefined);
    });
    expect(first.notices[0]).toContain(`cannot reach ${scratch}`);
    expect(home).not.toBe("");
    await query(first.adminUrl, "create table kept as select 42 as answer");
    expect(await attachEmbedded({ dataDir })).toEqual({ url: first.url, adminUrl: first.adminUrl });
    await first.stop();

    // Existing data decides, also when the folder can be reached by now.
    await chmod(scratch, 0o755);
    const second = await open();
    expect(await query(second.adminUrl, "select answer from kept")).toEqual([{ answer: 42 }]);
    await second.stop();
    expect(await processesOf(home)).toEqual([]);
  });

  it("does not depend on the umask", async () => {
    const umask = process.umask(0o077);
    cleanups.push(async () => process.umask(umask));
    await mkdir(dataDir);
    await chmod(dataDir, 0o755);
    expect(await query((await open()).url, "select 1 as one")).toEqual([{ one: 1 }]);
  });

  it("refuses data of an OS user who is not the server's", async () => {
    await mkdir(join(dataDir, "postgres", "cluster"), { recursive: true });
    await chown(join(dataDir, "postgres", "cluster"), 54_321, 54_321);
    expect((await failure(open())).message).toContain("uid 54321");
  });

  it("runs as an ordinary user too, with data of that user alone", async () => {
    const [nobody] = unprivilegedUsers(await readFile("/etc/passwd", "utf8")).slice(-1);
    if (!nobody) throw new Error("this machine has no unprivileged user");
    await mkdir(dataDir);
    await chown(dataDir, nobody.uid, nobody.gid);
    const { child, report } = await startOwner(["embedded", dataDir], { uid: nobody.uid, gid: nobody.gid });
    expect(report).toMatchObject({ state: "open", notices: [expect.not.stringContaining("root")] });
    expect((await stat(join(dataDir, "postgres", "credentials.json"))).uid).toBe(nobody.uid);
    const stranger = await startOwner(["embedded", dataDir], { uid: 54_321, gid: 54_321 });
    expect(stranger.report).toMatchObject({ state: "failed", code: "embedded_failed" });
    await end(child);
    expect(await processesOf()).toEqual([]);
  });
});
