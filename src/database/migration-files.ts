/**
 * The numbered migrations beside the code: their order, their two halves and their checksums. For an engine that has a
 * file of its own beside the general one (`0016-name.timescale.sql`), that one stands in its place. Nothing is cached.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { StoreError } from "../errors/store-error.ts";
import type { EngineName } from "./engine/engine.ts";

/** One step of the schema. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly up: string;
  readonly down: string;
  /** SHA-256 of the first half, in hex; line ends do not count. */
  readonly checksum: string;
}

const FOLDER = new URL("../../migrations/", import.meta.url);
const FILE_NAME = /^(\d{4})-([a-z0-9-]+)(?:\.([a-z]+))?\.sql$/;
const UP = "-- migrate:up\n";
const DOWN = "-- migrate:down\n";

/** All migrations of an engine, in order; of plain unless given. */
export async function readMigrations(engine: EngineName = "plain", folder: URL = FOLDER): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".sql")).sort();
  const general = files.filter((file) => FILE_NAME.exec(file)?.[3] === undefined);
  const chosen = general.map((file) => {
    const own = file.replace(/\.sql$/, `.${engine}.sql`);
    return files.includes(own) ? own : file;
  });
  const migrations = await Promise.all(chosen.map((file) => readMigration(folder, file)));
  for (const [at, { version }] of migrations.entries()) {
    if (version !== at + 1) {
      throw new StoreError(
        "internal",
        `Migration ${at + 1} is missing or there twice: the next file is number ${version}.`,
      );
    }
  }
  return migrations;
}

async function readMigration(folder: URL, file: string): Promise<Migration> {
  const match = FILE_NAME.exec(file);
  const text = (await readFile(new URL(file, folder), "utf8")).replaceAll("\r\n", "\n");
  const upAt = text.indexOf(UP);
  const downAt = text.indexOf(DOWN);
  if (match === null || upAt < 0 || downAt < upAt) {
    throw new StoreError(
      "internal",
      `${file} is no migration: it must be named 0001-some-name.sql and have the lines "${UP.trim()}" and "${DOWN.trim()}".`,
    );
  }
  const up = text.slice(upAt + UP.length, downAt);
  return {
    version: Number(match[1]),
    name: match[2]!,
    up,
    down: text.slice(downAt + DOWN.length),
    checksum: createHash("sha256").update(up).digest("hex"),
  };
}
