/** Flags that several verbs share, and how the texts of flags are read. */
import { type Command, InvalidArgumentError } from "commander";

/** Flags of a verb that uses a database. */
export interface DatabaseFlags {
  readonly dsn?: string;
}

/** Flags of a verb that works for one tenant. */
export interface TenantFlags extends DatabaseFlags {
  readonly tenant?: string;
}

export function addDatabaseFlag(command: Command): Command {
  return command.option(
    "--dsn <url>",
    "the database; else MDS_DSN, DATABASE_URL, or the embedded one (a URL with a password is better kept in MDS_DSN)",
  );
}

export function addTenantFlags(command: Command): Command {
  return addDatabaseFlag(command).option("--tenant <tenant>", "slug or UUID; else MDS_TENANT_ID, or default");
}

export function addJsonFlag(command: Command): Command {
  return command.option("--json", "print JSON");
}

/** An example below the help of a verb. */
export function addExamples(command: Command, ...examples: readonly string[]): Command {
  return command.addHelpText("after", `\nExamples:\n${examples.map((example) => `  ${example}`).join("\n")}\n`);
}

/** The flag of a column: --open-price of open_price. */
export function flagOf(column: string): string {
  return `--${column.replaceAll("_", "-")}`;
}

/** Under which name commander gives the value of a column's flag. */
export function optionKeyOf(column: string): string {
  return column.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Reads a whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (number >= min && number <= max) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** Reads a flag that may be given several times. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** Reads `name=value` and `name=value,other=value`; may be given several times. */
export function assignments(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const all: Record<string, string> = { ...before };
  for (const part of text.split(/,(?=\w+=)/)) {
    const at = part.indexOf("=");
    if (at < 1) throw new InvalidArgumentError("It must have the form name=value.");
    const name = part.slice(0, at).trim();
    if (name in all) throw new InvalidArgumentError(`${name} is given twice.`);
    all[name] = part.slice(at + 1);
  }
  return all;
}
