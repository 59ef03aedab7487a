/**
 * The OpenAPI document as one page for people: plain HTML made here, without scripts, and nothing from another host, so
 * that it works in a closed network and under the strictest policy.
 */
import { createHash } from "node:crypto";
import type { OpenApiDocument, Operation } from "./open-api.ts";

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --quiet: #8881; --accent: #2563eb; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
nav ul { list-style: none; padding: 0; } nav li { margin: .15rem 0; }
h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; }
section { border: 1px solid var(--line); border-radius: .5rem; padding: 0 1rem .5rem; margin: 1rem 0; }
code, pre { font: .875rem/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; background: var(--quiet); padding: .75rem; border-radius: .35rem; }
table { border-collapse: collapse; width: 100%; } td, th { border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top; }
h3 code { font-size: 1em; }
.method { display: inline-block; min-width: 5.25em; font-weight: 600; color: var(--accent); }
a { color: var(--accent); } a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`;

/** Lets the page's own style in, by its hash, and nothing else. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

interface Placed {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

/** Makes the page and the Content-Security-Policy that it needs. */
export function docsPage(document: OpenApiDocument): { readonly html: string; readonly policy: string } {
  const { info, tags, paths, components } = document;
  const operations: Placed[] = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
  const groups = tags.map(({ name }) => ({
    name,
    placed: operations.filter(({ operation }) => operation.tags.includes(name)),
  }));
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(info.title)} ${text(info.version)}</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>${text(info.title)} ${text(info.version)}</h1>
<p>${prose(info.description)} The same for programs: <a href="openapi.json">openapi.json</a>.</p></header>
<nav aria-label="Routes"><ul>${operations.map(linkTo).join("")}</ul></nav>
<main>
${groups.map(({ name, placed }) => `<h2>${text(name)}</h2>${placed.map(sectionOf).join("\n")}`).join("\n")}
<h2>Schemas</h2>
${Object.entries(components.schemas).map(schemaOf).join("\n")}
</main>
</body>
</html>
`;
  return { html, policy: POLICY };
}

function linkTo({ method, path, operation }: Placed): string {
  const name = `<span class="method">${method}</span><code>${text(path)}</code>`;
  return `<li><a href="#${operation.operationId}">${name}</a> ${text(operation.summary)}</li>`;
}

function sectionOf({ method, path, operation }: Placed): string {
  const { operationId, summary, description, security, parameters = [], requestBody, responses } = operation;
  const parts = [
    `<section id="${operationId}"><h3><span class="method">${method}</span><code>${text(path)}</code></h3>`,
    `<p>${text(summary)}.${description === undefined ? "" : ` ${prose(description)}`}</p>`,
    security.length > 0 ? "<p>Needs the admin token: <code>Authorization: Bearer TOKEN</code>.</p>" : "",
    parameters.length > 0
      ? table(
          ["Parameter", "In", "Meaning"],
          parameters.map((one) => [
            `<code>${text(one.name)}</code>${one.required ? "" : " (optional)"}`,
            one.in,
            prose(one.description ?? ""),
          ]),
        )
      : "",
    requestBody === undefined
      ? ""
      : `<h4>Body${requestBody.required ? "" : " (optional)"}</h4>${shown(requestBody.content["application/json"]?.schema)}`,
    table(
      ["Status", "Answer"],
      Object.entries(responses).map(([status, answer]) => [
        status,
        `${prose(answer.description)} ${refOf(answer.content)}`,
      ]),
    ),
    "</section>",
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function schemaOf([name, schema]: [string, object]): string {
  return `<details id="schema-${text(name)}" open><summary><code>${text(name)}</code></summary>${json(schema)}</details>`;
}

/** A schema where it is used: a link when it has a name, else itself. */
function shown(schema: object | undefined): string {
  if (schema === undefined) return "";
  const name = nameOf(schema);
  return name === undefined ? json(schema) : `<p>${link(name)}</p>`;
}

function refOf(content: Readonly<Record<string, { readonly schema: object }>> | undefined): string {
  const name = Object.values(content ?? {}).map(({ schema }) => nameOf(schema))[0];
  return name === undefined ? "" : link(name);
}

const nameOf = (schema: { $ref?: string }): string | undefined => schema.$ref?.split("/").at(-1);
const link = (name: string): string => `<a href="#schema-${text(name)}"><code>${text(name)}</code></a>`;
const json = (value: object): string => `<pre tabindex="0">${text(JSON.stringify(value, undefined, 2))}</pre>`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string): string => row.map((cell) => `<${tag}>${cell}</${tag}>`).join("");
  const body = rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("");
  return `<table><thead><tr>${cells(head, "th")}</tr></thead><tbody>${body}</tbody></table>`;
}

/** Text in which words between backticks are code. */
const prose = (words: string): string => text(words).replaceAll(/`([^`]+)`/g, "<code>$1</code>");

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

function text(words: string): string {
  return words.replaceAll(/[&<>"]/g, (character) => ENTITIES[character]!);
}
