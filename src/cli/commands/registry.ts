/**
 * `mds registry serve|publish|fetch`: a schema registry of one's own, and what the store and a registry have to do with
 * each other.
 */
import { join } from "node:path";
import type { Command } from "commander";
import { chooseDatabaseUrl } from "../../config/choose-database-url.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { StoreError } from "../../errors/store-error.ts";
import { type LocalSchema, readLocalSchemas } from "../../registry/local-schemas.ts";
import { schemaFileName, schemaFileText } from "../../registry/schema-files.ts";
import type { SchemaRegistry } from "../../registry/schema-registry.ts";
import { startRegistryServer } from "../../registry/server.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { withDatabase } from "../connect.ts";
import { addDatabaseFlag, addExamples } from "../flags.ts";
import { interruptible } from "../interruption.ts";
import { addRegistryFlags, type RegistryFlags, registryOf } from "../registry-flags.ts";
import { EXIT, type Shell } from "../shell.ts";
import { writeOutput } from "../write-output.ts";

interface ServeFlags {
  readonly dsn?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: string | undefined;
}
interface PublishFlags extends RegistryFlags {
  readonly force?: boolean;
}
interface FetchFlags extends RegistryFlags {
  readonly output?: string;
}

/** The store's own port is another one, so that both can run on a machine. */
const DEFAULT_PORT = 8_080;

export function registry(command: Command, shell: Shell): void {
  addServe(command, shell);
  addPublish(command, shell);
  addFetch(command, shell);
}

function addServe(command: Command, shell: Shell): void {
  const verb = command
    .command("serve")
    .description("Run a schema registry, in a schema `registry` of the database. Publishing needs REGISTRY_TOKEN.")
    .option("--host <address>", "where to listen; else HOST, or 0.0.0.0")
    .option("--port <port>", "where to listen; else PORT, or 8080");
  addDatabaseFlag(verb).action(async ({ dsn, host, port }: ServeFlags) => {
    const config = shell.configure({ dsn, host, port });
    await withDatabase(
      shell,
      embeddedApart(shell, config, { dsn, host, port }),
      ({ url, adminUrl }, signal) => serveUntil(shell, config, { databaseUrl: url, adminUrl }, signal),
      { migrateEmbedded: false },
    );
    // Being stopped is how it ends.
    shell.exitCode = EXIT.done;
  });
  addExamples(verb, "REGISTRY_TOKEN=… npx mds registry serve", "npx mds registry serve --port 9080");
}

/** An embedded database belongs to one process, and the store's is the store's: the registry gets one of its own. */
function embeddedApart(shell: Shell, config: LoadedConfig, flags: ServeFlags): LoadedConfig {
  if (chooseDatabaseUrl(config, { as: "client" }) !== undefined) return config;
  return shell.configure({ ...flags, dataDir: join(config.values.dataDir, "registry") });
}

async function serveUntil(
  shell: Shell,
  { values, sources }: LoadedConfig,
  database: { readonly databaseUrl: string; readonly adminUrl: string },
  signal: AbortSignal,
): Promise<void> {
  const server = await startRegistryServer({
    ...database,
    host: values.host,
    port: sources.port === "default" ? DEFAULT_PORT : values.port,
    token: values.registryToken,
    log: createLogger({ level: values.logLevel }),
  });
  const url = server.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
  const access = values.registryToken === undefined ? " It is read-only: REGISTRY_TOKEN is not set." : "";
  shell.output.note(`The schema registry listens at ${url}.${access}`);
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
  await server.close();
}

function addPublish(command: Command, shell: Shell): void {
  const verb = command
    .command("publish [names...]")
    .description(
      "Publish the contracts of this version: those that are named, or all. Ends with 1 when one is refused.",
    )
    .option("--force", "publish also what breaks with the version before");
  addRegistryFlags(verb).action((names: readonly string[], flags: PublishFlags) =>
    interruptible(shell, async (signal) => {
      const { registry: target, track } = registryOf(shell, flags);
      for (const schema of chosen(await readLocalSchemas(), names)) {
        if (!(await publishOne(shell, target, track, schema, flags, signal))) shell.exitCode = EXIT.failed;
      }
    }),
  );
  addExamples(verb, "npx mds registry publish", "npx mds registry publish telemetry.FeedbackEvent --track v1");
}

function chosen(schemas: readonly LocalSchema[], names: readonly string[]): readonly LocalSchema[] {
  const unknown = names.find((name) => !schemas.some((schema) => schema.name === name));
  if (unknown !== undefined) {
    const known = schemas.map(({ name }) => name).join(", ");
    throw new StoreError("usage", `There is no contract "${unknown}"; there are ${known}.`);
  }
  return names.length === 0 ? schemas : schemas.filter(({ name }) => names.includes(name));
}

/** False when it would break and was refused. */
async function publishOne(
  shell: Shell,
  target: SchemaRegistry,
  track: string,
  { name, content, compatibility }: LocalSchema,
  { force = false }: PublishFlags,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const result = await target.publish({ track, name, content }, force ? "none" : compatibility, signal);
    await shell.output.data(`${name} ${result.created ? "published as" : "unchanged, is"} version ${result.version}\n`);
    return true;
  } catch (error) {
    if (!(error instanceof StoreError && error.code === "schema_incompatible")) throw error;
    shell.output.note(`${error.message} (${error.code})`);
    return false;
  }
}

function addFetch(command: Command, shell: Shell): void {
  const verb = command
    .command("fetch [name]")
    .description("Print a schema of the registry, or write all of a track into a folder.")
    .option("--output <path>", "a file for one schema, the folder for all");
  addRegistryFlags(verb).action((name: string | undefined, flags: FetchFlags) =>
    interruptible(shell, async (signal) => {
      const { registry: source, track } = registryOf(shell, flags);
      if (name !== undefined) return fetchOne(shell, source, track, name, flags.output, signal);
      if (flags.output === undefined) {
        throw new StoreError("usage", "Name a schema, or give the folder for all of them with --output FOLDER.");
      }
      const names = await source.names(track, signal);
      for (const each of names) {
        await fetchOne(shell, source, track, each, join(flags.output, schemaFileName(each)), signal);
      }
      shell.output.note(`Wrote ${names.length} schemas of track ${track} to ${flags.output}.`);
    }),
  );
  addExamples(verb, "npx mds registry fetch telemetry.FeedbackEvent", "npx mds registry fetch --output schemas/");
}

async function fetchOne(
  shell: Shell,
  source: SchemaRegistry,
  track: string,
  name: string,
  output: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const found = await source.fetch(track, name, signal);
  if (found === undefined) throw new StoreError("schema_not_found", `Track ${track} of the registry has no ${name}.`);
  const text = schemaFileText(found.content);
  if (output === undefined) await shell.output.data(text);
  else await writeOutput(output, text);
}
