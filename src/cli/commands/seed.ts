/** `mds seed`: what every store has. Repeating it changes nothing. */
import type { Command } from "commander";
import { seedStore } from "../../database/tenants.ts";
import { withAdmin } from "../connect.ts";
import { addDatabaseFlag, addExamples, type DatabaseFlags } from "../flags.ts";
import type { Shell } from "../shell.ts";

export function seed(command: Command, shell: Shell): void {
  addDatabaseFlag(command).action((flags: DatabaseFlags) =>
    withAdmin(shell, shell.configure({ dsn: flags.dsn }), async (scope, signal) => {
      await seedStore(scope, signal);
      shell.output.note('The tenant "default" is there.');
    }),
  );
  addExamples(command, "npx mds seed");
}
