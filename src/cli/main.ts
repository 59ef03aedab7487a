/**
 * The `mds` command: its verbs, and how it ends. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but rows were
 * rejected. An error is one sentence on stderr. Only the verb that is asked for is loaded, to keep every start short.
 */
import { Command, CommanderError } from "commander";
import { readConfig } from "../config/load.ts";
import { packageVersion } from "../config/version.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import { Output } from "./output.ts";
import { EXIT, type Shell, type Verb } from "./shell.ts";

const VERBS: Readonly<Record<string, readonly [summary: string, load: () => Promise<Verb>]>> = {
  serve: ["run the service", async () => (await import("./commands/serve.ts")).serve],
  migrate: ["apply, take back or show migrations", async () => (await import("./commands/migrate.ts")).migrate],
  engine: [
    "show the engine, and move a database to TimescaleDB",
    async () => (await import("./commands/engine.ts")).engine,
  ],
  seed: ["make what every store has: the default tenant", async () => (await import("./commands/seed.ts")).seed],
  tenant: [
    "create, list, rename and delete tenants, bind logins to them, make ingest tokens",
    async () => (await import("./commands/tenant.ts")).tenant,
  ],
  policies: [
    "show and set what is kept, and for how long",
    async () => (await import("./commands/policies.ts")).policies,
  ],
  ingest: ["load files", async () => (await import("./commands/ingest.ts")).ingest],
  query: ["print the rows of a window", async () => (await import("./commands/query.ts")).query],
  write: ["write one row", async () => (await import("./commands/write.ts")).write],
  dump: ["write datasets to files", async () => (await import("./commands/dump.ts")).dump],
  restore: ["load what dump wrote", async () => (await import("./commands/restore.ts")).restore],
  latest: ["print latest prices", async () => (await import("./commands/latest.ts")).latest],
  jobs: ["ask for jobs and follow them; the ledger of runs", async () => (await import("./commands/jobs.ts")).jobs],
  dlq: ["show, replay and delete dead letters", async () => (await import("./commands/dlq.ts")).dlq],
  drift: ["compare the contracts with the schema registry's", async () => (await import("./commands/drift.ts")).drift],
  registry: [
    "run a schema registry, publish to it and fetch from it",
    async () => (await import("./commands/registry.ts")).registry,
  ],
  pulse: ["watch the event bus", async () => (await import("./commands/pulse.ts")).pulse],
  ping: ["ask whether the database answers", async () => (await import("./commands/ping.ts")).ping],
  health: ["ask the running service how it is", async () => (await import("./commands/health.ts")).health],
  "schema-version": [
    "print the state of the database's schema",
    async () => (await import("./commands/schema-version.ts")).schemaVersion,
  ],
  bench: ["measure this machine beside raw COPY", async () => (await import("./commands/bench.ts")).bench],
  doctor: [
    "compare the database with what it should be, and mend it",
    async () => (await import("./commands/doctor.ts")).doctor,
  ],
  config: ["print every setting and where it comes from", async () => (await import("./commands/config.ts")).config],
};

const HELP = `
Settings come from flags, else from the environment, else from a file .env in the working directory, else from defaults
(mds config shows them). Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but rows were rejected.

Examples:
  npx mds serve
  npx mds ingest bars FILE --set vendor=NAME --set timeframe=1m
  npx mds query bars --symbol SYMBOL --limit 10
`;

/** Runs the command with its arguments and gives the exit code. Never throws. */
export async function main(args: readonly string[]): Promise<number> {
  const output = new Output();
  const shell: Shell = {
    output,
    exitCode: EXIT.done,
    configure: (flags) => {
      const config = readConfig({ flags });
      for (const warning of config.warnings) output.note(`Warning: ${warning}`);
      return config;
    },
  };
  try {
    const program = await buildProgram((name) => args.includes(name), shell);
    await program.parseAsync(args, { from: "user" });
    return shell.exitCode;
  } catch (error) {
    return failed(error, output);
  }
}

/**
 * The command with those of its verbs loaded that are wanted; the others are there with their summaries alone.
 *
 * @internal Exported for the documentation.
 */
export async function buildProgram(isWanted: (verb: string) => boolean, shell: Shell): Promise<Command> {
  const { output } = shell;
  const program = new Command("mds")
    .description("The store of record for market data.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .addHelpText("after", HELP)
    .exitOverride()
    .configureHelp({ showGlobalOptions: false, helpWidth: 120 })
    .configureOutput({
      writeOut: (text) => void output.data(text),
      writeErr: (text) => output.note(text.trimEnd()),
      outputError: (text, write) => write(`mds: ${asSentence(text)} (usage)`),
    });
  for (const [name, [summary, load]] of Object.entries(VERBS)) {
    const command = program.command(name).summary(summary).description(capitalised(summary));
    if (isWanted(name)) (await load())(command, shell);
  }
  return program;
}

/** Commander says `error: some words`, with a guess at what was meant on a second line. */
function asSentence(text: string): string {
  const [first = "", ...rest] = text
    .trim()
    .replace(/^error: /, "")
    .split("\n");
  return [capitalised(first), ...rest].join(" ");
}

function capitalised(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}

function failed(error: unknown, output: Output): number {
  // Commander has printed its errors already; without an error it only leaves, after help or the version.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  const code = error instanceof StoreError ? error.code : "internal";
  output.note(`mds: ${messageOf(error)} (${code})`);
  if (isDebugging() && error instanceof Error) output.note(stackOf(error));
  return isWrongUsage(error) ? EXIT.usage : EXIT.failed;
}

function isWrongUsage(error: unknown): boolean {
  if (!(error instanceof StoreError)) return false;
  if (error.code !== "config_invalid") return error.code === "usage";
  const faults = (error.details["faults"] ?? []) as readonly { readonly source: string }[];
  return faults.length > 0 && faults.every(({ source }) => source === "flag");
}

function isDebugging(): boolean {
  try {
    return ["debug", "trace"].includes(readConfig().values.logLevel);
  } catch {
    return false;
  }
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\nCaused by: ${stackOf(error.cause)}` : "";
  return `${error.stack ?? error.message}${cause}`;
}
