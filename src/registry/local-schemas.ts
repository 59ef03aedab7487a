/**
 * The schemas that this version of the store was built with, read from the files under contracts/, which are what is
 * published. Needs no schema library, so that a service can compare them at little cost.
 */
import { readdir, readFile } from "node:fs/promises";
import { type JsonSchema, schemaSha256 } from "../contracts/schema-hash.ts";
import type { Compatibility } from "./schema-change.ts";

/** One of the store's schemas. */
export interface LocalSchema {
  readonly name: string;
  readonly content: JsonSchema;
  readonly sha256: string;
  /** What has to hold between its versions. */
  readonly compatibility: Compatibility;
}

/** The files are of the one track that this version speaks; which track of a registry they are compared with is a setting. */
const FOLDER = new URL("../../contracts/v1/", import.meta.url);
const SUFFIX = ".schema.json";

/** All of them, by name. */
export async function readLocalSchemas(): Promise<readonly LocalSchema[]> {
  const files = (await readdir(FOLDER)).filter((file) => file.endsWith(SUFFIX)).sort();
  return Promise.all(
    files.map(async (file) => {
      const name = file.slice(0, -SUFFIX.length);
      const content = JSON.parse(await readFile(new URL(file, FOLDER), "utf8")) as JsonSchema;
      return { name, content, sha256: schemaSha256(content), compatibility: compatibilityOf(name) };
    }),
  );
}

/**
 * What goes over the platform's wires is written and read by many, of different versions at once. A dataset's rows are
 * read by the store, which may come to take more than it did.
 */
function compatibilityOf(name: string): Compatibility {
  return name.startsWith("store.") ? "backward" : "full";
}
