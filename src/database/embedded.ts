/**
 * The embedded PostgreSQL: a real server out of an npm package, for machines that have none. It is made at the first
 * start, reached over a Unix socket with generated passwords, owned by one process at a time, and started again when it
 * dies. Other processes of the same OS user attach to it while its owner lives.
 */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, StoreError } from "../errors/store-error.ts";
import { type LockErrors, liveOwner, type OwnerLock, takeOwnership } from "../resilience/owner-lock.ts";
import { processStart } from "../resilience/process-start.ts";
import { locateBinaries, makeUsable } from "./embedded/binaries.ts";
import { prepareCluster, readCredentials, urlsOf } from "./embedded/cluster.ts";
import { existingPlace, makePlace, type Place } from "./embedded/place.ts";
import { serverProcesses, stopServerProcesses } from "./embedded/processes.ts";
import { boundLog, logPath, startServer } from "./embedded/server.ts";
import { makeSocketFolder, removeSocketFolder, socketFolder } from "./embedded/socket-folder.ts";
import { type EmbeddedLog, Supervisor } from "./embedded/supervisor.ts";

const LOG_CHECK_INTERVAL_MS = 60_000;

/** How to reach the embedded database. Both URLs carry a password: never log them. */
export interface EmbeddedUrls {
  /** Login `mds_service`: ordinary, without rights of its own in database `mds`. */
  readonly url: string;
  /** The superuser, for migrations and jobs. */
  readonly adminUrl: string;
}

/** A running embedded database that this process owns. */
export interface EmbeddedDatabase extends EmbeddedUrls {
  /** Sentences for people: as whom it runs and where its data is. */
  readonly notices: readonly string[];
  /** The folder that holds the data. */
  readonly folder: string;
  /** Shuts it down in bounded time (9 s at most) and gives up ownership; may be called again. */
  stop(): Promise<void>;
}

/** Options of {@link openEmbedded}. */
export interface EmbeddedOptions {
  /** The data folder of the whole product (MDS_DATA_DIR); made when missing. */
  readonly dataDir: string;
  readonly log: EmbeddedLog;
  /** Called once when the server died and could not be started again. */
  readonly onLost?: (error: StoreError) => void;
  /** Ends a start that is under way; a running database is ended with `stop()`. */
  readonly signal?: AbortSignal;
}

/**
 * Starts the embedded database of a data folder, making it first when there is none.
 * @throws StoreError `embedded_missing` (no binaries), `embedded_in_use` (a live owner), `embedded_failed`, `aborted`.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<EmbeddedDatabase> {
  const signal = options.signal ?? new AbortController().signal;
  const binaries = await locateBinaries();
  const place = await makePlace(options.dataDir);
  const lock = await takeOwnership(place.home, lockErrors(place.home));
  try {
    const usable = await makeUsable(binaries, place.home, place.runAs, place.notices);
    const credentials = await prepareCluster(place, usable, "durable", signal);
    const socketDir = socketFolder(place);
    const urls = urlsOf(credentials, socketDir);
    const plan = { place, binaries: usable, socketDir, durability: "durable", url: urls.url } as const;
    const supervisor = new Supervisor({
      start: async (starting) => {
        await endOrphans(place, options.log);
        await makeSocketFolder(socketDir, place);
        return startServer(plan, starting);
      },
      log: options.log,
      onLost: options.onLost ?? (() => undefined),
    });
    await supervisor.start(signal);
    return owned(urls, place, socketDir, supervisor, lock);
  } catch (error) {
    await lock.release();
    if (error instanceof StoreError) throw error;
    throw new StoreError(
      "embedded_failed",
      `The embedded database in ${place.home} did not start: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/**
 * The embedded database of a data folder that another process of this OS user owns and runs; undefined when there is
 * none. It ends with its owner.
 * @throws StoreError `embedded_failed` when it belongs to another OS user.
 */
export async function attachEmbedded(options: { readonly dataDir: string }): Promise<EmbeddedUrls | undefined> {
  const place = await existingPlace(options.dataDir);
  if (!place || (await liveOwner(place.home)) === undefined) return undefined;
  const credentials = await readCredentials(place.home);
  const status = (await readFile(postmasterFile(place), "utf8").catch(() => "")).split("\n");
  const [pid, socketDir, state] = [Number(status[0]), status[4], status[7]?.trim()];
  const isLive = (await serverProcesses(place)).some((one) => one.postmaster && one.pid === pid);
  return credentials && socketDir && isLive && state === "ready" ? urlsOf(credentials, socketDir) : undefined;
}

function lockErrors(home: string): LockErrors {
  return {
    inUse: (who, pid) =>
      new StoreError(
        "embedded_in_use",
        `The embedded database in ${home} is in use by ${who}: stop that one first, or set MDS_DATA_DIR to another folder.`,
        { details: { pid, folder: home } },
      ),
    failed: (sentence) => new StoreError("embedded_failed", sentence),
  };
}

function owned(
  urls: EmbeddedUrls,
  place: Place,
  socketDir: string,
  supervisor: Supervisor,
  lock: OwnerLock,
): EmbeddedDatabase {
  const logChecks = setInterval(() => void boundLog(logPath(place)).catch(() => undefined), LOG_CHECK_INTERVAL_MS);
  logChecks.unref();
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    clearInterval(logChecks);
    try {
      await supervisor.stop();
      await removeSocketFolder(socketDir);
    } finally {
      await lock.release();
    }
  };
  return {
    ...urls,
    notices: place.notices,
    folder: place.home,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

/**
 * Ends what a killed owner or a killed server left behind: a whole server, or backends that hold its memory and keep a
 * new one from starting. The pid file may name a stranger by now.
 */
async function endOrphans(place: Place, log: EmbeddedLog): Promise<void> {
  const ended = await stopServerProcesses(place);
  if (ended.length > 0)
    log.warn(
      { pids: ended },
      "Processes of an earlier run of the embedded PostgreSQL were still there and have been stopped.",
    );
  const pid = Number.parseInt(await readFile(postmasterFile(place), "utf8").catch(() => ""), 10);
  // PostgreSQL would take any live process of this pid for its server and refuse to start.
  if (pid > 0 && (await processStart(pid)) !== undefined) await rm(postmasterFile(place));
}

function postmasterFile(place: Place): string {
  return join(place.cluster, "postmaster.pid");
}
