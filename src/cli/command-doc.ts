/** The text of docs/cli.md: what every verb says of itself with --help. */
import type { Command } from "commander";
import { buildProgram } from "./main.ts";
import type { Shell } from "./shell.ts";

const HEAD = `<!-- Written by \`npm run generate\` from the commands themselves. Do not edit. -->
# The \`mds\` command

In a clone \`npx mds …\`, elsewhere \`npx -p market-data-store mds …\`. Data goes to standard output, everything else to standard error;
with \`--json\` the data is JSON. On a terminal a line shows how far a long verb is. Ctrl-C ends every verb in order.

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | failed; one sentence on standard error says what, and ends with the error's code |
| 2 | wrong usage |
| 3 | done, but some rows were rejected |
| 128 + n | stopped by signal n: 130 after Ctrl-C |

What files look like, and what the named formats are, is in [Files and formats](files-and-formats.md); every setting is in
[Configuration](configuration.md).
`;

/** Builds the text; works on no database and prints nothing. */
export async function commandDoc(): Promise<string> {
  // No verb is run, so none of them uses what is missing here.
  const program = await buildProgram(() => true, { output: {} } as Shell);
  const verbs = program.commands.flatMap((command) => [command, ...command.commands]);
  return [HEAD, ...verbs.map(section)].join("\n");
}

function section(command: Command): string {
  const names = [command.name()];
  for (let parent = command.parent; parent !== null; parent = parent.parent) names.unshift(parent.name());
  const level = "#".repeat(names.length);
  return `${level} ${names.join(" ")}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\`\n`;
}

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  return text.trim();
}
