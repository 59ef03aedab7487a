/** The job that migrates the database: what `mds migrate` does, with a record in the ledger. */
import type { migrateInput } from "../control/job-inputs.ts";
import { bringUpToDate } from "../database/bring-up-to-date.ts";
import { runAsRole } from "../database/session.ts";
import { defineJob, type JobDefinition } from "./define-job.ts";

interface AppliedMigrations {
  readonly applied: readonly { readonly version: number; readonly name: string }[];
}

/** The job; `onApplied` is told how many migrations it applied. */
export function migrateJob(onApplied: (migrations: number) => void): JobDefinition<typeof migrateInput> {
  return defineJob({
    name: "migrate",
    description: "Applies the migrations that are pending.",
    schema: async () => (await import("../control/job-inputs.ts")).migrateInput,
    mode: "maintenance",
    async run(context): Promise<AppliedMigrations> {
      const { signal, admin, adminUrl } = context;
      const text = "select session_user::text as login";
      const scope = { ...admin, role: "mds_admin" } as const;
      const [service] = await runAsRole<{ login: string }>(scope, { text, values: [] }, signal);
      const migrations = await bringUpToDate({ adminUrl, serviceLogin: service!.login });
      onApplied(migrations.length);
      const applied = migrations.map(({ version, name }) => ({ version, name }));
      const message = applied.length === 0 ? "Nothing was pending." : `Applied ${applied.length} migrations.`;
      await context.report({ message, metadata: { applied } });
      return { applied };
    },
  });
}
