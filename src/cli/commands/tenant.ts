/** `mds tenant create|list|rename`. */
import type { Command } from "commander";
import { createTenant, listTenants, renameTenant, type Tenant } from "../../database/tenants.ts";
import { StoreError } from "../../errors/store-error.ts";
import { withAdmin } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import type { Shell } from "../shell.ts";
import { tableText } from "../table.ts";

interface ListFlags extends DatabaseFlags {
  readonly json?: boolean;
}
interface CreateFlags extends ListFlags {
  readonly name?: string;
}
interface RenameFlags extends CreateFlags {
  readonly slug?: string;
}

const COLUMNS = ["slug", "id", "name", "state", "created_at"] as const;

export function tenant(command: Command, shell: Shell): void {
  const print = async (tenants: readonly Tenant[], json: boolean | undefined): Promise<void> => {
    const columns = COLUMNS.map((name) => ({ name }));
    const cells = tenants.map((one) => COLUMNS.map((name) => one[name]));
    if (json) await shell.output.json(tenants);
    else await shell.output.data(tableText(columns, cells));
  };
  const create = command.command("create <slug>").description("Create a tenant.").option("--name <name>", "for people");
  addJsonFlag(addDatabaseFlag(create)).action((slug: string, { dsn, name = slug, json }: CreateFlags) =>
    withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      await print([await createTenant(scope, { slug, name }, signal)], json);
    }),
  );
  addExamples(create, 'npx mds tenant create acme --name "Acme Trading"');

  const list = command.command("list").description("List all tenants.");
  addJsonFlag(addDatabaseFlag(list)).action(({ dsn, json }: ListFlags) =>
    withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      await print(await listTenants(scope, signal), json);
    }),
  );
  addExamples(list, "npx mds tenant list --json");

  const rename = command
    .command("rename <tenant>")
    .description("Give a tenant, named by its slug or UUID, another slug or name.")
    .option("--slug <slug>", "its new slug")
    .option("--name <name>", "its new name, for people");
  addJsonFlag(addDatabaseFlag(rename)).action(async (given: string, { dsn, slug, name, json }: RenameFlags) => {
    if (slug === undefined && name === undefined) {
      throw new StoreError("usage", "Say what changes, with --slug SLUG or --name NAME.");
    }
    const changes = { ...(slug !== undefined && { slug }), ...(name !== undefined && { name }) };
    await withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      await print([await renameTenant(scope, given, changes, signal)], json);
    });
  });
  addExamples(rename, "npx mds tenant rename acme --slug acme-trading");
  addExamples(command, 'npx mds tenant create acme --name "Acme Trading"', "npx mds tenant list");
}
