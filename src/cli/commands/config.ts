/** `mds config`: every setting, its value in force with secrets hidden, and where it came from. */
import type { Command } from "commander";
import { describeConfig } from "../../config/describe.ts";
import { addExamples, addJsonFlag } from "../flags.ts";
import type { Shell } from "../shell.ts";
import { tableText } from "../table.ts";

const COLUMNS = ["name", "value", "default", "source", "meaning"] as const;

export function config(command: Command, shell: Shell): void {
  addJsonFlag(command).action(async ({ json }: { json?: boolean }) => {
    const rows = describeConfig(shell.configure({}));
    if (json) await shell.output.json(rows);
    else {
      const cells = rows.map((row) => COLUMNS.map((name) => row[name]));
      await shell.output.data(
        tableText(
          COLUMNS.map((name) => ({ name })),
          cells,
        ),
      );
    }
  });
  addExamples(
    command,
    "npx mds config",
    "npx mds config --json | jq -r '.[] | select(.source != \"default\") | .name'",
  );
}
