/**
 * Shows the configuration to people: the rows of `mds config`, docs/configuration.md and .env.example. All three come
 * from the one table of settings. Secrets are hidden, also those inside URLs.
 */
import { hideSecrets } from "../errors/hide-secrets.ts";
import type { ConfigSource, LoadedConfig } from "./load.ts";
import type { Setting } from "./setting.ts";
import { settingList } from "./settings.ts";

/** One setting as `mds config` shows it. */
export interface ConfigRow {
  readonly name: string;
  /** The value in force, secrets hidden; empty when nothing is set and the default is explained in `default`. */
  readonly value: string;
  readonly default: string;
  readonly source: ConfigSource;
  readonly meaning: string;
}

/** Every setting with its value in force, in the order of the documentation. */
export function describeConfig(config: LoadedConfig): readonly ConfigRow[] {
  return settingList().map(([key, setting]) => ({
    name: setting.name,
    value: shownValue(setting, config.values[key]),
    default: shownDefault(setting),
    source: config.sources[key],
    meaning: setting.meaning,
  }));
}

function shownValue(setting: Setting, value: unknown): string {
  const text = textOf(value);
  if (!setting.secret || text === "") return text;
  return text.includes("://") ? hideSecrets(text) : "***";
}

function shownDefault(setting: Setting): string {
  return setting.defaultText ?? textOf(setting.default);
}

function textOf(value: unknown): string {
  return value === undefined ? "" : String(value as string | number | boolean);
}

const PRECEDENCE = [
  "Settings come from the command's flags, else from the environment, else from a file `.env` in the working directory",
  "(UTF-8), else from the defaults below. An empty value counts as not set. All wrong values are reported together and",
  "stop the start; an unknown name that begins with `MDS_` is warned about. `mds config` shows every value in force and",
  "where it came from, with secrets hidden.",
].join("\n");

/** The text of docs/configuration.md. */
export function configurationDoc(): string {
  const rows = settingList().map(([, setting]) =>
    [`\`${setting.name}\``, defaultCell(setting), setting.meaning, setting.allowed]
      .map((cell) => cell.replaceAll("|", "\\|"))
      .join(" | "),
  );
  return [
    "<!-- Written by `npm run generate` from src/config/settings.ts. Do not edit. -->",
    "# Configuration",
    "",
    PRECEDENCE,
    "",
    "| Name | Default | Meaning | Allowed |",
    "| --- | --- | --- | --- |",
    ...rows.map((row) => `| ${row} |`),
    "",
  ].join("\n");
}

function defaultCell(setting: Setting): string {
  return setting.defaultText ?? `\`${textOf(setting.default)}\``;
}

/** The text of .env.example: every setting, commented out, with its default. */
export function envExample(): string {
  const blocks = settingList().map(([, setting]) =>
    [
      `# ${setting.meaning}`,
      `# Allowed: ${setting.allowed}.`,
      ...(setting.defaultText === undefined ? [] : [`# Default: ${setting.defaultText}.`]),
      `# ${setting.name}=${setting.defaultText === undefined ? textOf(setting.default) : ""}`,
    ].join("\n"),
  );
  return [
    "# Written by `npm run generate` from src/config/settings.ts. Copy it to .env (UTF-8) and take the # away where",
    "# you want another value than the default.",
    "",
    blocks.join("\n\n"),
    "",
  ].join("\n");
}
