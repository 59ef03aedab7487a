import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const SRC = fileURLToPath(new URL("../src/", import.meta.url));
const COMMON = ["errors", "config", "telemetry", "resilience"];
const BELOW_SERVICE = [
  ...COMMON,
  "contracts",
  "control",
  "datasets",
  "database",
  "client",
  "files",
  "feedback",
  "sinks",
  "coordinator",
  "http",
  "registry",
  "jobs",
];
/** Who may import whom, besides its own folder: downwards only, types too. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  contracts: [],
  errors: [],
  config: ["errors"],
  telemetry: ["errors"],
  resilience: ["errors"],
  control: ["contracts", "errors"],
  datasets: ["errors", "contracts"],
  database: [...COMMON, "contracts", "datasets"],
  client: [...COMMON, "contracts", "datasets", "database"],
  files: [...COMMON, "contracts", "datasets", "client"],
  feedback: [...COMMON, "contracts"],
  sinks: [...COMMON, "contracts", "datasets", "database", "client"],
  coordinator: [...COMMON, "contracts", "datasets", "feedback", "sinks"],
  http: [...COMMON, "contracts"],
  registry: [...COMMON, "contracts", "datasets", "database", "http", "feedback"],
  jobs: [...COMMON, "contracts", "control", "datasets", "database", "client", "files"],
  service: [...BELOW_SERVICE],
  bench: [...BELOW_SERVICE, "service"],
  cli: [...BELOW_SERVICE, "service", "bench"],
};
/** Where each of these may be used: a folder, or one file. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  pg: ["database/", "bench/"],
  "pg-copy-streams": ["database/", "bench/"],
  fastify: ["http/", "service/", "registry/server"],
  "@redis/client": ["feedback/redis-"],
  "ajv/dist/2020.js": ["registry/"],
  "pg-boss": ["jobs/"],
  "@uwdata/flechette": ["client/arrow-stream"],
  commander: ["cli/"],
  "process.env": ["config/load.ts"],
  "console.": ["cli/output.ts"],
  "process.stdout": ["cli/output.ts"],
};
const MAX_LINES = 400;

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => ({ file: file.replaceAll("\\", "/"), text: readFileSync(join(SRC, file), "utf8") }));
const production = files.filter(({ file }) => !file.endsWith(".test.ts"));

const importsOf = (text: string): string[] =>
  [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1]!);

/** Code without comments and texts. */
const codeOf = (text: string): string =>
  text.replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, "").replaceAll(/"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`/g, '""');

describe("the house", () => {
  it("was seen: these tests looked at the source", () => {
    expect(production.length).toBeGreaterThan(80);
    expect(new Set(production.map(({ file }) => file.split("/")[0])).size).toBeGreaterThanOrEqual(14);
  });

  it("imports downwards only", () => {
    const upwards = production.flatMap(({ file, text }) => {
      const layer = file.split("/")[0]!;
      if (layer === "index.ts") return [];
      return importsOf(text)
        .filter((name) => name.startsWith("."))
        .map((name) => relative(SRC, join(SRC, dirname(file), name)).replaceAll("\\", "/"))
        .filter((target) => {
          const to = target.split("/")[0]!;
          return to !== layer && !target.startsWith("..") && !LAYERS[layer]?.includes(to);
        })
        .map((target) => `${file} -> ${target}`);
    });
    expect(upwards).toEqual([]);
  });

  it("has one owner for each thing that needs one", () => {
    const strays = production.flatMap(({ file, text }) => {
      const imports = importsOf(text);
      const code = codeOf(text);
      return Object.entries(OWNERS)
        .filter(([thing, owners]) => {
          const used = thing.includes(".") ? code.includes(thing) : imports.includes(thing);
          return used && !owners.some((owner) => file.startsWith(owner));
        })
        .map(([thing]) => `${file} uses ${thing}`);
    });
    expect(strays).toEqual([]);
  });

  it("throws StoreError and nothing bare", () => {
    expect(production.filter(({ text }) => /throw new Error\(/.test(codeOf(text))).map(({ file }) => file)).toEqual([]);
  });

  it("tells in each file's first lines what it is", () => {
    expect(production.filter(({ text }) => !text.startsWith("/**")).map(({ file }) => file)).toEqual([]);
  });

  it(`has no file of more than ${MAX_LINES} lines`, () => {
    expect(files.filter(({ text }) => text.split("\n").length > MAX_LINES + 1).map(({ file }) => file)).toEqual([]);
  });

  it("has one barrel and no default exports", () => {
    expect(
      production.filter(({ text }) => /export \* |export default/.test(codeOf(text))).map(({ file }) => file),
    ).toEqual([]);
  });
});
