/** The built-in job `prune-runs`: keeps the ledger and what is kept of jobs from growing for ever. */
import { Runs } from "../client/runs.ts";
import { listTenants } from "../database/tenants.ts";
import { defineJob } from "./define-job.ts";
import { pruneProgress } from "./job-progress.ts";

export const pruneRuns = defineJob({
  name: "prune-runs",
  description: "Deletes finished runs older than 90 days from every tenant's ledger and the system's.",
  schema: async () => (await import("../control/job-inputs.ts")).pruneRunsInput,
  defaults: { days: 90 },
  mode: "maintenance",
  schedule: "20 3 * * *",
  async run({ input, admin, signal, report }) {
    const tenants = (await listTenants(admin, signal)).filter(({ state }) => state === "active");
    const ledgers = [
      new Runs({ ...admin, role: "mds_admin" }),
      ...tenants.map(({ id }) => new Runs({ ...admin, role: "mds_app", tenantId: id })),
    ];
    let runs = 0n;
    for (const ledger of ledgers) runs += await ledger.prune(input.days, { signal });
    await pruneProgress(admin);
    await report({ message: `Deleted ${runs} runs.` });
    return { runs };
  },
});
