/** The registry that a verb works with: flags before settings. */
import type { Command } from "commander";
import type { LoadedConfig } from "../config/load.ts";
import { StoreError } from "../errors/store-error.ts";
import { HttpRegistry } from "../registry/http-registry.ts";
import type { Shell } from "./shell.ts";

export interface RegistryFlags {
  readonly url?: string;
  readonly track?: string;
}

export function addRegistryFlags(command: Command): Command {
  return command
    .option("--url <url>", "the schema registry; else REGISTRY_URL")
    .option("--track <track>", "its track; else REGISTRY_TRACK, SCHEMA_TRACK, or v1");
}

/** @throws StoreError `usage` where no registry is named. */
export function registryOf(
  shell: Shell,
  { url, track }: RegistryFlags,
): { readonly registry: HttpRegistry; readonly track: string; readonly config: LoadedConfig } {
  const config = shell.configure({ registryUrl: url, registryTrack: track });
  const { registryUrl, registryTrack, registryToken, schemaTrack } = config.values;
  if (registryUrl === undefined) {
    throw new StoreError("usage", "No schema registry is named; set REGISTRY_URL, or give --url http://HOST:8080.");
  }
  const registry = new HttpRegistry({ url: registryUrl, token: registryToken });
  return { registry, track: registryTrack ?? schemaTrack, config };
}
