/**
 * The database of one benchmark: an embedded server of its own with durable settings, or a database of its own on the
 * server that was named. Nothing of it is left afterwards, and no other database is touched.
 */
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { candidateUsers, firstBarrier } from "../database/embedded/os-user.ts";
import { openEmbedded } from "../database/embedded.ts";
import type { EngineName } from "../database/engine/engine.ts";
import { identifier } from "../database/identifier.ts";
import { migrateUp } from "../database/migrator.ts";
import { type Connection, openConnection } from "../database/pool.ts";
import { toStoreError } from "../database/sqlstate.ts";

/** Applications' names, by which the benchmark finds its server processes. */
export const OWNER_APPLICATION = "mds bench owner";
export const CLIENT_APPLICATION = "mds bench client";

export interface BenchDatabase {
  /** Ordinary login, as a client uses it. Carries a password, as does the other. */
  readonly url: string;
  readonly adminUrl: string;
  /** For what a client may not do: raw COPY, sizes, maintenance. */
  readonly owner: Connection;
  readonly isEmbedded: boolean;
  /** Drops what was made. */
  close(): Promise<void>;
}

export interface BenchDatabaseOptions {
  readonly url?: string | undefined;
  readonly adminUrl?: string | undefined;
  /** Detected unless given: a database beside one with TimescaleDB gets it too. */
  readonly engine?: EngineName | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Server {
  readonly url: string;
  readonly adminUrl: string;
  remove(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** Makes and migrates the database. */
export async function openBenchDatabase(options: BenchDatabaseOptions): Promise<BenchDatabase> {
  const { url = options.adminUrl, adminUrl = url } = options;
  const isEmbedded = url === undefined || adminUrl === undefined;
  const server = isEmbedded ? await startServer(options.signal) : await createDatabase(url, adminUrl);
  try {
    await migrateUp({ adminUrl: server.adminUrl, serviceUrl: server.url, engine: options.engine });
    const owner = await openConnection(server.adminUrl, OWNER_APPLICATION, CONNECT_TIMEOUT_MS);
    const close = async (): Promise<void> => {
      await owner.end();
      await server.remove();
    };
    return { url: server.url, adminUrl: server.adminUrl, owner, isEmbedded, close };
  } catch (error) {
    await server.remove();
    throw toStoreError(error);
  }
}

/** A temporary folder in which the embedded server can run, also for root, whose server is another user's process. */
export async function makeTemporaryFolder(): Promise<string> {
  const [runAs] = (await candidateUsers()) ?? [];
  const isBarred = runAs !== undefined && (await firstBarrier(tmpdir(), runAs)) !== undefined;
  const folder = await mkdtemp(join(isBarred ? "/tmp" : tmpdir(), "mds-bench-"));
  await chmod(folder, 0o711);
  return folder;
}

async function startServer(signal: AbortSignal | undefined): Promise<Server> {
  const folder = await makeTemporaryFolder();
  const removeFolder = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const ignore = (): void => undefined;
  try {
    const log = { info: ignore, warn: ignore, error: ignore };
    const server = await openEmbedded({ dataDir: folder, log, ...(signal && { signal }) });
    const remove = async (): Promise<void> => {
      await server.stop();
      await removeFolder();
    };
    return { url: server.url, adminUrl: server.adminUrl, remove };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

async function createDatabase(url: string, adminUrl: string): Promise<Server> {
  const name = `mds_bench_${randomBytes(6).toString("hex")}`;
  const run = async (statement: string, at = adminUrl): Promise<number | null> => {
    try {
      const connection = await openConnection(at, OWNER_APPLICATION, CONNECT_TIMEOUT_MS);
      try {
        return (await connection.query(statement)).rowCount;
      } finally {
        await connection.end();
      }
    } catch (error) {
      throw toStoreError(error);
    }
  };
  await run(`create database ${identifier(name)}`);
  if ((await run("select from pg_extension where extname = 'timescaledb'")) === 1) {
    await run("create extension if not exists timescaledb", withDatabase(adminUrl, name));
  }
  return {
    url: withDatabase(url, name),
    adminUrl: withDatabase(adminUrl, name),
    remove: async () => {
      await run(`drop database ${identifier(name)} with (force)`);
    },
  };
}

function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
