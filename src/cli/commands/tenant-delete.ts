/** `mds tenant delete`: deletes a tenant with everything of it, in this process, after its slug was typed or with --yes. */
import type { Command } from "commander";
import { type DeletionProgress, deleteTenant } from "../../database/delete-tenant.ts";
import { type AdminScope, listTenants, type Tenant } from "../../database/tenants.ts";
import { StoreError } from "../../errors/store-error.ts";
import { canAsk, confirmed } from "../confirm.ts";
import { withAdmin } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import type { Shell } from "../shell.ts";

interface DeleteFlags extends DatabaseFlags {
  readonly yes?: boolean;
  readonly json?: boolean;
}

const NUMBER = new Intl.NumberFormat("en-US");

const NOTES = `
From the moment it begins the tenant is gone for everybody and cannot be brought back. A deletion that was interrupted
goes on when it is asked for again. On a terminal the tenant's slug has to be typed; elsewhere --yes is needed.`;

export function addTenantDelete(tenant: Command, shell: Shell): void {
  const command = tenant
    .command("delete <tenant>")
    .description(
      "Delete a tenant, named by its slug or UUID, with everything of it: rows, series, runs, tokens, bindings.",
    )
    .option("--yes", "do it without asking");
  addJsonFlag(addDatabaseFlag(command)).action((given: string, { dsn, yes, json }: DeleteFlags) =>
    withAdmin(shell, shell.configure({ dsn }), async (scope, signal) => {
      const found = await tenantNamed(scope, given, signal);
      if (!yes && !(await isMeant(found, signal))) {
        throw new StoreError("aborted", `That is not the slug; the tenant "${found.slug}" stays.`);
      }
      const deleted = await deleteTenant(scope, found.id, { signal, onProgress: progressOf(shell) });
      shell.output.note(`The tenant "${deleted.slug}" is deleted, with ${NUMBER.format(deleted.rows)} rows.`);
      if (json) await shell.output.json(deleted);
    }),
  );
  command.addHelpText("after", NOTES);
  addExamples(command, "npx mds tenant delete acme", "npx mds tenant delete acme --yes");
}

async function tenantNamed(scope: AdminScope, given: string, signal: AbortSignal): Promise<Tenant> {
  const found = (await listTenants(scope, signal)).find(({ id, slug }) => slug === given || id === given);
  if (found !== undefined) return found;
  throw new StoreError("tenant_unknown", `There is no tenant "${given}"; \`mds tenant list\` shows them.`);
}

async function isMeant({ slug, name }: Tenant, signal: AbortSignal): Promise<boolean> {
  if (!canAsk()) {
    throw new StoreError(
      "usage",
      `This deletes the tenant "${slug}" with everything of it for good; add --yes to do it.`,
    );
  }
  const question = `This deletes the tenant "${slug}" (${name}) with everything of it for good. Type its slug to go on: `;
  return confirmed(question, slug, signal);
}

function progressOf({ output }: Shell): (progress: DeletionProgress) => Promise<void> {
  let rows = 0;
  let told = "";
  return async (progress) => {
    rows += progress.rows;
    output.progress(`${progress.message} ${NUMBER.format(rows)} rows so far.`);
    // Where no progress line is seen, waiting still has to be.
    if (progress.rows === 0 && progress.message !== told) output.note(progress.message);
    if (progress.rows === 0) told = progress.message;
  };
}
