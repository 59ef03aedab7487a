/** `mds restore DATASET FILE...`: loads what `mds dump` wrote, so that another dump of it has the same bytes. */
import { Argument, type Command } from "commander";
import { DATASET_NAMES, type DatasetName } from "../../datasets/registry.ts";
import { addExamples } from "../flags.ts";
import { type LoadFlags, loadFiles } from "../load-files.ts";
import type { Shell } from "../shell.ts";
import { addLoadFlags } from "./ingest.ts";

export function restore(command: Command, shell: Shell): void {
  command
    .addArgument(new Argument("<dataset>", "what the files hold").choices(DATASET_NAMES))
    .argument("<file...>", "dumps, told by content; patterns; - for standard input");
  addLoadFlags(command).action((name: DatasetName, files: string[], flags: LoadFlags) =>
    loadFiles(shell, { verb: "restore", dataset: name, names: files, options: { isStrict: true } }, flags),
  );
  addExamples(
    command,
    "npx mds restore bars bars-ALL-ALL-ALL-MIN-MAX.ndjson.gz",
    "npx mds dump news - | npx mds restore news - --tenant other",
  );
}
