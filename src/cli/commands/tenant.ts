/** `mds tenant create|list|rename|delete`, the logins that are bound to one tenant: `bind|unbind|logins`, and `token`. */
import type { Command } from "commander";
import { type BoundLogin, bindLogin, listBoundLogins, unbindLogin } from "../../database/bound-logins.ts";
import { createTenant, listTenants, renameTenant, type Tenant } from "../../database/tenants.ts";
import { StoreError } from "../../errors/store-error.ts";
import { withAdmin, withDatabase } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import type { Shell } from "../shell.ts";
import { tableText } from "../table.ts";
import { addTenantDelete } from "./tenant-delete.ts";
import { tenantToken } from "./tenant-token.ts";

interface ListFlags extends DatabaseFlags {
  readonly json?: boolean;
}
interface CreateFlags extends ListFlags {
  readonly name?: string;
}
interface RenameFlags extends CreateFlags {
  readonly slug?: string;
}
interface BindFlags extends ListFlags {
  readonly tenant: string;
}

const COLUMNS = ["slug", "id", "name", "state", "created_at"] as const;
const LOGIN_COLUMNS = ["login", "tenant", "tenant_id", "valid"] as const;

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
  addTenantDelete(command, shell);
  addLoginVerbs(command, shell);
  tenantToken(command, shell);
  addExamples(command, 'npx mds tenant create acme --name "Acme Trading"', "npx mds tenant list");
}

/** These change who is a member of mds_reader, hence the administrator's connection. */
function addLoginVerbs(command: Command, shell: Shell): void {
  const print = async (logins: readonly BoundLogin[], json: boolean | undefined): Promise<void> => {
    const columns = LOGIN_COLUMNS.map((name) => ({ name }));
    if (json) await shell.output.json(logins);
    else
      await shell.output.data(
        tableText(
          columns,
          logins.map((one) => LOGIN_COLUMNS.map((name) => String(one[name]))),
        ),
      );
  };
  const bind = command
    .command("bind <login>")
    .description("Let a login of the database, such as a BI tool's, read one tenant's data and nothing else.")
    .requiredOption("--tenant <tenant>", "slug or UUID");
  addJsonFlag(addDatabaseFlag(bind)).action((login: string, { dsn, tenant: wanted, json }: BindFlags) =>
    withDatabase(shell, shell.configure({ dsn }), async ({ adminUrl }) => {
      await print([await bindLogin(adminUrl, login, wanted)], json);
    }),
  );
  addExamples(bind, "npx mds tenant bind metabase --tenant acme");

  const unbind = command.command("unbind <login>").description("Let a bound login go: it sees nothing any more.");
  addDatabaseFlag(unbind).action((login: string, { dsn }: DatabaseFlags) =>
    withDatabase(shell, shell.configure({ dsn }), async ({ adminUrl }) => {
      const wasBound = await unbindLogin(adminUrl, login);
      shell.output.note(`The login "${login}" ${wasBound ? "is bound no more" : "was not bound"}.`);
    }),
  );
  addExamples(unbind, "npx mds tenant unbind metabase");

  const logins = command.command("logins").description("List the bound logins and their tenants.");
  addJsonFlag(addDatabaseFlag(logins)).action(({ dsn, json }: ListFlags) =>
    withDatabase(shell, shell.configure({ dsn }), async ({ adminUrl }) => {
      await print(await listBoundLogins(adminUrl), json);
    }),
  );
  addExamples(logins, "npx mds tenant logins --json");
}
