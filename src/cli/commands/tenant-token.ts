/** `mds tenant token create|list|revoke`: a tenant's ingest tokens. */
import type { Command } from "commander";
import {
  createIngestToken,
  type IngestToken,
  listIngestTokens,
  revokeIngestToken,
} from "../../database/ingest-tokens.ts";
import { withAdmin } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import type { Shell } from "../shell.ts";
import { tableText } from "../table.ts";

interface ListFlags extends DatabaseFlags {
  readonly json?: boolean;
}
interface CreateFlags extends ListFlags {
  readonly name: string;
}

const COLUMNS = ["id", "name", "created_at", "revoked_at"] as const;

/** Adds the verbs to `mds tenant`. */
export function tenantToken(tenant: Command, shell: Shell): void {
  const command = tenant
    .command("token")
    .summary("a tenant's ingest tokens")
    .description("Make, list and revoke the tokens with which a tenant's rows are sent over HTTP.");
  const create = command
    .command("create <tenant>")
    .description(
      "Make an ingest token of a tenant, named by its slug or UUID. Prints the token, which is told this once.",
    )
    .requiredOption("--name <name>", "what it is for");
  addJsonFlag(addDatabaseFlag(create)).action((tenantName: string, { dsn, name, json }: CreateFlags) =>
    withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      const made = await createIngestToken(scope, tenantName, name, signal);
      if (json) await shell.output.json(made);
      else {
        await shell.output.data(`${made.token}\n`);
        shell.output.note(`Made ${made.id}; keep it now, only its hash is stored.`);
      }
    }),
  );
  addExamples(create, "npx mds tenant token create acme --name feed-1");

  const list = command.command("list <tenant>").description("List a tenant's tokens, without their secrets.");
  addJsonFlag(addDatabaseFlag(list)).action((tenantName: string, { dsn, json }: ListFlags) =>
    withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      const tokens = await listIngestTokens(scope, tenantName, signal);
      if (json) await shell.output.json(tokens);
      else await shell.output.data(tokensText(tokens));
    }),
  );
  addExamples(list, "npx mds tenant token list acme");

  const revoke = command
    .command("revoke <tenant> <id>")
    .description("End a token's validity. Services that know it refuse it after 30 s at most.");
  addDatabaseFlag(revoke).action((tenantName: string, id: string, { dsn }: DatabaseFlags) =>
    withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      await revokeIngestToken(scope, tenantName, id, signal);
      shell.output.note(`The token ${id} is not valid any more.`);
    }),
  );
  addExamples(revoke, "npx mds tenant token revoke acme 018f6c1e-0d5b-7c3a-9f6e-3b1f8a2c4d5e");
  addExamples(command, "npx mds tenant token create acme --name feed-1", "npx mds tenant token list acme");
}

function tokensText(tokens: readonly IngestToken[]): string {
  return tableText(
    COLUMNS.map((name) => ({ name })),
    tokens.map((one) => COLUMNS.map((name) => one[name] ?? "")),
  );
}
