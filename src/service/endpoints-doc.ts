/** The part of docs/http.md that lists the routes, written from the table of endpoints. */
import type { Endpoint } from "../control/endpoint.ts";
import { ENDPOINTS } from "../control/endpoints.ts";

const BEGIN =
  "<!-- Routes: written by `npm run generate` from src/control/endpoints.ts. Do not edit up to the end mark. -->";
const END = "<!-- End of routes. -->";

/** The document with that part as it has to be. */
export function withEndpoints(document: string): string {
  const [before = "", rest = ""] = document.split(BEGIN);
  const after = rest.split(END)[1] ?? "";
  const groups = Map.groupBy(Object.values(ENDPOINTS) as readonly Endpoint[], ({ tag }) => tag);
  return `${before}${BEGIN}\n\n${[...groups].map(([tag, list]) => section(tag, list)).join("\n")}\n${END}${after}`;
}

function section(tag: string, endpoints: readonly Endpoint[]): string {
  return [
    `### ${tag}`,
    "",
    "| Route | Meaning | Answers | Errors of its own |",
    "| --- | --- | --- | --- |",
    ...endpoints.map(row),
    "",
  ].join("\n");
}

function row({
  method,
  path,
  summary,
  description,
  auth,
  body,
  isBodyOptional,
  makesJob,
  answers,
  errors = [],
}: Endpoint): string {
  const notes = [
    `${summary}.`,
    ...(description === undefined ? [] : [description]),
    ...(body === undefined
      ? []
      : [
          `Body: ${body === "backfill" ? "what the job takes" : body === "rows" ? "rows" : `\`${body}\``}${isBodyOptional ? ", optional" : ""}.`,
        ]),
    ...(makesJob ? ["Takes `Idempotency-Key`."] : []),
  ];
  const kinds = Object.entries(answers).map(([status, { schema, mediaType }]) =>
    schema === undefined && mediaType === undefined ? status : `${status} \`${schema ?? mediaType}\``,
  );
  const own = errors.map((code) => `\`${code}\``).join(", ");
  const cells = [`\`${method} ${path}\`${auth === "none" ? "" : ` (${auth})`}`, notes.join(" "), kinds.join(", "), own];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
