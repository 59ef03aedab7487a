/**
 * `mds drift check|report`: check compares the contracts of this version with the registry's now, and needs no database;
 * report shows what the running services have found and kept in theirs.
 */
import type { Command } from "commander";
import { packageVersion } from "../../config/version.ts";
import { type KnownDrift, listDrift } from "../../database/drift-state.ts";
import { compareSchemas, type SchemaComparison } from "../../registry/compare-schemas.ts";
import { readLocalSchemas } from "../../registry/local-schemas.ts";
import { withAdmin } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import { interruptible } from "../interruption.ts";
import { addRegistryFlags, type RegistryFlags, registryOf } from "../registry-flags.ts";
import { EXIT, type Shell } from "../shell.ts";
import { tableText } from "../table.ts";
import { writeOutput } from "../write-output.ts";

interface CheckFlags extends RegistryFlags {
  readonly output?: string;
  readonly json?: boolean;
}
interface ReportFlags extends DatabaseFlags {
  readonly json?: boolean;
}

/** What `--json` prints and `--output` writes. */
interface DriftReport {
  readonly repo: "market-data-store";
  readonly version: string;
  readonly track: string;
  /** ISO 8601, UTC. */
  readonly checked_at: string;
  readonly summary: Readonly<Record<"in_sync" | "drift" | "breaking" | "missing", number>>;
  readonly schemas: readonly SchemaComparison[];
}

const HASH_SHOWN = 12;

export function drift(command: Command, shell: Shell): void {
  const check = command
    .command("check")
    .description("Compare the contracts of this version with the registry's. Ends with 1 when one of them breaks.")
    .option("--output <file>", "also write the report there, as JSON");
  addJsonFlag(addRegistryFlags(check)).action((flags: CheckFlags) =>
    interruptible(shell, (signal) => checkNow(shell, flags, signal)),
  );
  addExamples(check, "npx mds drift check --url http://registry:8080", "npx mds drift check --output report.json");

  const report = command
    .command("report")
    .description("Show the differences that the running services have found and that are not over.");
  addJsonFlag(addDatabaseFlag(report)).action(({ dsn, json }: ReportFlags) =>
    withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      const known = await listDrift(scope, signal);
      if (json) await shell.output.json(known);
      else if (known.length > 0) await shell.output.data(knownTable(known));
      if (known.length === 0) shell.output.note("The services know of no drift.");
    }),
  );
  addExamples(report, "npx mds drift report", "npx mds drift report --json");
}

async function checkNow(shell: Shell, flags: CheckFlags, signal: AbortSignal): Promise<void> {
  const { registry, track } = registryOf(shell, flags);
  const schemas = await compareSchemas(registry, track, await readLocalSchemas(), signal);
  const report = reportOf(track, schemas);
  if (flags.output !== undefined) await writeOutput(flags.output, `${JSON.stringify(report, undefined, 2)}\n`);
  if (flags.json) await shell.output.json(report);
  else await shell.output.data(reportText(report));
  if (report.summary.breaking > 0) shell.exitCode = EXIT.failed;
}

function reportOf(track: string, schemas: readonly SchemaComparison[]): DriftReport {
  const count = (wanted: (one: SchemaComparison) => boolean): number => schemas.filter(wanted).length;
  return {
    repo: "market-data-store",
    version: packageVersion(),
    track,
    checked_at: new Date().toISOString(),
    summary: {
      in_sync: count(({ status }) => status === "in_sync"),
      drift: count(({ status }) => status === "drift"),
      breaking: count(({ status, change }) => status === "drift" && change === "breaking"),
      missing: count(({ status }) => status === "missing"),
    },
    schemas,
  };
}

function reportText({ schemas }: DriftReport): string {
  const table = tableText(
    ["schema", "status", "change", "local", "registry", "version"].map((name) => ({ name })),
    schemas.map(({ schema, status, change, local_sha256, registry_sha256, registry_version }) => [
      schema,
      status,
      change ?? "",
      local_sha256.slice(0, HASH_SHOWN),
      registry_sha256?.slice(0, HASH_SHOWN) ?? "",
      registry_version ?? "",
    ]),
  );
  const reasons = schemas.flatMap(({ schema, differences }) =>
    differences.map(({ breaking, message }) => `  ${schema}: ${message}${breaking ? " (breaking)" : ""}\n`),
  );
  return reasons.length === 0
    ? table
    : `${table}\nFrom the registry's schemas to those of this version:\n${reasons.join("")}`;
}

function knownTable(known: readonly KnownDrift[]): string {
  return tableText(
    ["schema", "track", "change", "local_version", "registry_version", "first_seen_at", "last_seen_at"].map((name) => ({
      name,
    })),
    known.map((one) => [
      one.schema_name,
      one.track,
      one.change,
      one.local_version,
      one.registry_version,
      one.first_seen_at,
      one.last_seen_at,
    ]),
  );
}
