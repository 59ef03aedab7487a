/**
 * Where the embedded database of a data folder lives and which OS user runs it. The answer is the same at every start:
 * data that exists decides; otherwise it is `<data folder>/postgres`, or for root a folder below /var/lib when the OS
 * user of the server cannot reach that one.
 */
import { createHash } from "node:crypto";
import { chmod, chown, mkdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { candidateUsers, firstBarrier, type OsUser } from "./os-user.ts";

const FOLDER_OF_ROOT = "/var/lib/market-data-store";

/** The folder of one embedded database. */
export interface Place {
  /** Belongs to the owner of the database: lock, passwords, settings, log. */
  readonly home: string;
  /** Data folder of PostgreSQL, below `home`; belongs to the OS user of the server. */
  readonly cluster: string;
  /** OS user of the server; undefined when it is this process's own. */
  readonly runAs: OsUser | undefined;
  /** Uid of the server's processes. */
  readonly uid: number;
  /** What people should know about it; whole sentences. */
  readonly notices: string[];
}

/**
 * The place for a data folder, whose folder `home` exists afterwards.
 * @throws StoreError `embedded_failed` when it cannot be made or belongs to somebody else.
 */
export async function makePlace(dataDir: string): Promise<Place> {
  try {
    await mkdir(dataDir, { recursive: true });
    const place = (await existingPlace(dataDir)) ?? (await newPlace(dataDir));
    if (dirname(place.home) === FOLDER_OF_ROOT) {
      const isNew = await mkdir(FOLDER_OF_ROOT, { recursive: true });
      if (isNew) await chmod(FOLDER_OF_ROOT, 0o755);
    }
    await mkdir(place.home, { recursive: true });
    // Others may pass through but not look; each file inside has rights of its own.
    await chmod(place.home, 0o711);
    return place;
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    throw new StoreError(
      "embedded_failed",
      `No folder for the embedded database can be made for ${dataDir}: ${messageOf(cause)}.`,
      { cause },
    );
  }
}

/**
 * The place of a database that was made before; undefined when there is none.
 * @throws StoreError `embedded_failed` when it belongs to another OS user.
 */
export async function existingPlace(dataDir: string): Promise<Place | undefined> {
  const real = await realpath(dataDir).catch(() => undefined);
  if (real === undefined) return undefined;
  const users = await candidateUsers();
  for (const home of users ? [join(real, "postgres"), homeOfRoot(real)] : [join(real, "postgres")]) {
    const cluster = join(home, "cluster");
    const facts = await stat(cluster).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw new StoreError("embedded_failed", `The folder ${cluster} cannot be read: ${error.message}.`);
    });
    if (!facts) continue;
    const runAs = users?.find((user) => user.uid === facts.uid);
    if (users ? !runAs : facts.uid !== process.getuid?.()) throw foreign(cluster, facts.uid);
    const isElsewhere = runAs && dirname(home) === FOLDER_OF_ROOT;
    return describe(home, runAs, isElsewhere ? await firstBarrier(real, runAs) : undefined);
  }
  return undefined;
}

/** Makes a folder that the OS user of the server owns and nobody else can enter. */
export async function makeServerFolder(path: string, runAs: OsUser | undefined): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  if (runAs) await chown(path, runAs.uid, runAs.gid);
}

async function newPlace(dataDir: string): Promise<Place> {
  const real = await realpath(dataDir);
  const [runAs] = (await candidateUsers()) ?? [];
  const barrier = runAs && (await firstBarrier(real, runAs));
  if (barrier === undefined) return describe(join(real, "postgres"), runAs);
  return describe(homeOfRoot(real), runAs, barrier);
}

function describe(home: string, runAs: OsUser | undefined, barrier?: string): Place {
  const because = barrier === undefined ? "" : `, because that user cannot reach ${barrier}`;
  const user = runAs ? `runs as the OS user ${runAs.name} (PostgreSQL refuses root) and ` : "";
  return {
    home,
    cluster: join(home, "cluster"),
    runAs,
    uid: runAs?.uid ?? process.getuid?.() ?? -1,
    notices: [`The embedded PostgreSQL ${user}keeps its data in ${home}${because}.`],
  };
}

/** A clone is told from others of the same name by a hash of its path; `.mds` itself would say nothing. */
function homeOfRoot(dataDir: string): string {
  const name = basename(dataDir).startsWith(".") ? basename(dirname(dataDir)) : basename(dataDir);
  const hash = createHash("sha256").update(dataDir).digest("hex").slice(0, 12);
  return join(FOLDER_OF_ROOT, `${name || "root"}-${hash}`);
}

function foreign(cluster: string, uid: number): StoreError {
  return new StoreError(
    "embedded_failed",
    `The data in ${cluster} belongs to the OS user with uid ${uid}, and this process has uid ${process.getuid?.()}: ` +
      "start as the user who made it, or set MDS_DATA_DIR to another folder.",
  );
}
