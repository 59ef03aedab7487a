/**
 * Turns flags, the environment and `.env` into one typed, frozen configuration, and says where each value came from.
 * All faults are reported together. The only reader of `process.env` and `.env`; `loadConfig` itself is pure.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hideSecrets } from "../errors/hide-secrets.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import { parseEnvFile } from "./env-file.ts";
import { nearestName } from "./nearest-name.ts";
import type { Setting } from "./setting.ts";
import { BACKFILL_CREDENTIAL_PREFIX, type Config, type ConfigKey, settingList } from "./settings.ts";

/** Where a value came from, the strongest first. */
export type ConfigSource = "flag" | "environment" | ".env" | "default";

type Environment = Readonly<Record<string, string | undefined>>;
/** Values of flags by the setting's key; an absent or undefined one was not given. */
export type ConfigFlags = Readonly<Partial<Record<ConfigKey, string | undefined>>>;

interface ConfigInput {
  readonly env: Environment;
  /** The `.env` file's path (for messages) and content. */
  readonly envFile?: { readonly path: string; readonly bytes: Uint8Array } | undefined;
  readonly flags?: ConfigFlags | undefined;
}

/** A whole configuration. */
export interface LoadedConfig {
  readonly values: Config;
  readonly sources: Readonly<Record<ConfigKey, ConfigSource>>;
  /** Bearer tokens for backfills, by the whole name of their setting. Secrets: they are shown nowhere. */
  readonly backfillCredentials: ReadonlyMap<string, string>;
  /** Whole sentences for the log: nothing here stops a start. */
  readonly warnings: readonly string[];
}

/** A setting with a value that is not allowed. */
interface ConfigFault {
  readonly name: string;
  /** As given; hidden where the setting is a secret. */
  readonly value: string;
  readonly source: ConfigSource;
  readonly allowed: string;
}

interface Given {
  readonly text: string;
  readonly source: Exclude<ConfigSource, "default">;
}

/**
 * The configuration of the given flags, environment and `.env`; a flag wins over the environment, that over `.env`,
 * that over the default. An empty value counts as not set, except as a flag.
 * @throws StoreError `config_invalid` with all faults in its message and in `details.faults`, secrets hidden.
 */
export function loadConfig(input: ConfigInput): LoadedConfig {
  const file = input.envFile ? parseEnvFile(input.envFile.path, input.envFile.bytes) : {};
  const values: Partial<Record<ConfigKey, unknown>> = {};
  const sources: Partial<Record<ConfigKey, ConfigSource>> = {};
  const faults: ConfigFault[] = [];
  for (const [key, setting] of settingList()) {
    const given = givenValue(setting, input.flags?.[key], input.env, file);
    const value = given === undefined ? setting.default : setting.read(given.text);
    if (given !== undefined && value === undefined) faults.push(faultOf(setting, given));
    values[key] = value;
    sources[key] = given?.source ?? "default";
  }
  const backfillCredentials = readCredentials(input.env, file, faults);
  if (faults.length > 0) throw configInvalid(faults);
  return Object.freeze({
    values: Object.freeze(values as Config),
    sources: Object.freeze(sources as Record<ConfigKey, ConfigSource>),
    backfillCredentials,
    warnings: Object.freeze([...emptyNames(input.env, file), ...unknownNames(input.env, file)]),
  });
}

/**
 * The configuration of this process: its environment, and `.env` in `directory` (default: the working directory).
 * @throws StoreError `config_invalid` as `loadConfig` does, and for a `.env` that is there but cannot be read.
 */
export function readConfig(options: { flags?: ConfigFlags; directory?: string } = {}): LoadedConfig {
  const envFile = readEnvFile(join(options.directory ?? process.cwd(), ".env"));
  return loadConfig({ env: process.env, envFile, flags: options.flags });
}

function readEnvFile(path: string): ConfigInput["envFile"] {
  try {
    return { path, bytes: readFileSync(path) };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new StoreError("config_invalid", `${path} cannot be read: ${messageOf(cause)}.`, { cause });
  }
}

function givenValue(
  { name }: Setting,
  flag: string | undefined,
  env: Environment,
  file: Environment,
): Given | undefined {
  if (flag !== undefined) return { text: flag.trim(), source: "flag" };
  const inEnvironment = env[name]?.trim();
  if (inEnvironment) return { text: inEnvironment, source: "environment" };
  const inFile = file[name]?.trim();
  return inFile ? { text: inFile, source: ".env" } : undefined;
}

const CREDENTIAL_NAME = new RegExp(`^${BACKFILL_CREDENTIAL_PREFIX}[A-Z0-9_]+$`);
/** What a header may carry. */
const TOKEN = /^[\x21-\x7e]+$/;

/** A family of settings: their names are the operator's. */
function readCredentials(env: Environment, file: Environment, faults: ConfigFault[]): ReadonlyMap<string, string> {
  const tokens = new Map<string, string>();
  for (const name of new Set([...Object.keys(env), ...Object.keys(file)])) {
    if (!CREDENTIAL_NAME.test(name)) continue;
    const fromEnvironment = env[name]?.trim();
    const token = fromEnvironment || file[name]?.trim();
    if (!token) continue;
    if (TOKEN.test(token)) tokens.set(name, token);
    else {
      const source = fromEnvironment ? "environment" : ".env";
      faults.push({ name, value: "***", source, allowed: "a bearer token: visible ASCII characters without blanks" });
    }
  }
  return tokens;
}

function faultOf(setting: Setting, given: Given): ConfigFault {
  // A secret that could not be read has no known shape, so nothing of it can be shown.
  const value = setting.secret && given.text !== "" ? "***" : hideSecrets(given.text);
  return { name: setting.name, value, source: given.source, allowed: setting.allowed };
}

function configInvalid(faults: readonly ConfigFault[]): StoreError {
  const lines = faults.map(
    ({ name, value, source, allowed }) => `${name} is ${JSON.stringify(value)} (${source}). Allowed: ${allowed}.`,
  );
  const message =
    lines.length === 1
      ? lines[0]!
      : `${lines.length} settings are wrong:\n${lines.map((line) => `- ${line}`).join("\n")}`;
  return new StoreError("config_invalid", message, { details: { faults } });
}

function emptyNames(env: Environment, file: Environment): string[] {
  return settingList()
    .filter(([, { name }]) => env[name]?.trim() === "" || file[name]?.trim() === "")
    .map(([, { name }]) => `${name} is set but empty, which counts as not set.`);
}

function unknownNames(env: Environment, file: Environment): string[] {
  const known = settingList().map(([, { name }]) => name);
  const ours = new Set([...Object.keys(env), ...Object.keys(file)].filter((name) => /^MDS_/i.test(name)));
  const candidates = known.filter((name) => name.startsWith("MDS_"));
  return [...ours]
    .filter((name) => !known.includes(name) && !CREDENTIAL_NAME.test(name))
    .map((name) => `${name} is no setting of this version; the nearest is ${nearestName(name, candidates)}.`);
}
