/** `mds policies show|apply`: what is kept of each dataset, for how long, and in partitions of which width. */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { policiesInput } from "../../control/policies.ts";
import {
  applyPolicies,
  asWanted,
  type Policy,
  type PolicyChange,
  planPolicies,
  readPolicies,
  type WantedPolicies,
} from "../../database/policies.ts";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { withAdmin } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import type { Shell } from "../shell.ts";
import { tableText } from "../table.ts";

interface ShowFlags extends DatabaseFlags {
  readonly json?: boolean;
}
interface ApplyFlags extends ShowFlags {
  readonly dryRun?: boolean;
}

const COLUMNS = ["dataset", "partition_width", "compress_after", "keep_for", "enabled", "updated_at"] as const;

export function policies(command: Command, shell: Shell): void {
  const show = command.command("show").description("Print the policies; as JSON in the form that apply takes.");
  addJsonFlag(addDatabaseFlag(show)).action(({ dsn, json }: ShowFlags) =>
    withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      const stored = await readPolicies(scope, signal);
      if (json) await shell.output.json(asWanted(stored));
      else
        await shell.output.data(
          tableText(
            COLUMNS.map((name) => ({ name })),
            stored.map(cellsOf),
          ),
        );
    }),
  );
  addExamples(show, "npx mds policies show --json > policies.json");

  const apply = command
    .command("apply <file>")
    .description("Set the policies that a JSON file names; what it leaves out stays as it is.")
    .option("--dry-run", "only say what would change");
  addJsonFlag(addDatabaseFlag(apply)).action(async (file: string, { dsn, json, dryRun }: ApplyFlags) => {
    const wanted = await readWanted(file);
    await withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      const changes = await (dryRun ? planPolicies : applyPolicies)(scope, wanted, signal);
      if (json) await shell.output.json(changes);
      shell.output.note(summaryOf(changes, dryRun === true));
    });
  });
  addExamples(apply, "npx mds policies apply policies.json --dry-run");
  addExamples(command, "npx mds policies show", "npx mds policies apply policies.json");
}

function cellsOf(policy: Policy): string[] {
  return COLUMNS.map((name) => String(policy[name] ?? "-"));
}

async function readWanted(file: string): Promise<WantedPolicies> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new StoreError("file_unreadable", `${file} cannot be read: ${messageOf(cause)}.`, { cause });
  }
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new StoreError("policy_refused", `${file} is no JSON: ${messageOf(cause)}.`, { cause });
  }
  const { data, error } = policiesInput.safeParse(document);
  if (data !== undefined) return data;
  const { path, message } = error.issues[0]!;
  throw new StoreError("policy_refused", `${[file, ...path.map(String)].join(" > ")}: ${message}`);
}

function summaryOf(changes: readonly PolicyChange[], isDryRun: boolean): string {
  if (changes.length === 0) return "Nothing changes: the policies are like that already.";
  const lines = changes.map(({ dataset, field, before, after }) => `  ${dataset}.${field}: ${before} -> ${after}`);
  return [isDryRun ? "Would change:" : "Changed:", ...lines].join("\n");
}
