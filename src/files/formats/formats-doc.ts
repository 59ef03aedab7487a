/** The part of docs/files-and-formats.md on named formats, written from their tables. */
import type { NamedFormat } from "./named-format.ts";
import { NAMED_FORMATS } from "./named-formats.ts";

const BEGIN =
  "<!-- Named formats: written by `npm run generate` from src/files/formats/. Do not edit up to the end mark. -->";
const END = "<!-- End of named formats. -->";

/** The document with that part as it has to be. */
export function withNamedFormats(document: string): string {
  const [before = "", rest = ""] = document.split(BEGIN);
  const after = rest.split(END)[1] ?? "";
  return `${before}${BEGIN}\n\n${NAMED_FORMATS.map(section).join("\n")}\n${END}${after}`;
}

function section({ name, description, dataset, columns, timeframes = {}, notes }: NamedFormat): string {
  const rows = Object.entries(columns).map(([column, target]) => `| \`${column}\` | ${target ?? "left out"} |`);
  const spellings = Object.entries(timeframes).map(([theirs, ours]) => `\`${theirs}\` is \`${ours}\``);
  const list = [...notes, ...(spellings.length > 0 ? [`As \`--set timeframe=…\`, ${spellings.join(", ")}.`] : [])];
  return [
    `### ${name}`,
    "",
    description,
    "",
    `| in the file | in \`${dataset}\` |`,
    "| --- | --- |",
    ...rows,
    "",
    ...list.map((note) => `- ${note}`),
    "",
  ].join("\n");
}
