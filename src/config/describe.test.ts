import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { configurationDoc, describeConfig, envExample } from "./describe.ts";
import { loadConfig } from "./load.ts";
import { settingList } from "./settings.ts";
import { packageVersion } from "./version.ts";

const root = join(import.meta.dirname, "../..");

function sourcesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
    .map((path) => join(folder, path));
}

describe("describeConfig", () => {
  it("shows every setting with its source, and no password", () => {
    const rows = describeConfig(
      loadConfig({ env: { DATABASE_URL: "postgres://u:hunter2@h/d?sslpassword=hunter2", PORT: "9000" } }),
    );
    expect(rows).toHaveLength(settingList().length);
    expect(rows.find(({ name }) => name === "PORT")).toMatchObject({
      value: "9000",
      default: "8082",
      source: "environment",
    });
    expect(rows.find(({ name }) => name === "DATABASE_URL")).toMatchObject({
      value: "postgresql://u:***@h/d?sslpassword=***",
      source: "environment",
    });
    expect(rows.find(({ name }) => name === "MDS_DSN")).toMatchObject({
      value: "",
      default: "DATABASE_URL",
      source: "default",
    });
    expect(JSON.stringify(rows)).not.toContain("hunter2");
  });
});

describe("generated files", () => {
  it.each([
    ["docs/configuration.md", configurationDoc()],
    [".env.example", envExample()],
  ])("R34 %s is up to date (else: npm run generate)", (path, expected) => {
    expect(readFileSync(join(root, path), "utf8")).toBe(expected);
  });

  it("R34 .env.example is a .env that changes nothing", () => {
    const uncommented = envExample().replaceAll(/^# (?=[A-Z_]+=)/gm, "");
    const example = loadConfig({ env: {}, envFile: { path: ".env", bytes: new TextEncoder().encode(uncommented) } });
    expect(example.values).toEqual(loadConfig({ env: {} }).values);
  });
});

describe("settings", () => {
  // Before there is a command, nothing reads the settings that only it composes with.
  it.skipIf(!sourcesOf("src").includes("src/cli/main.ts"))("R34 every setting is read by something", () => {
    const code = sourcesOf("src")
      .filter((path) => path !== "src/config/settings.ts" && path !== "src/config/describe.ts")
      .map((path) => readFileSync(join(root, path), "utf8"))
      .join("\n");
    const unread = settingList().filter(([key]) => !new RegExp(`\\b${key}\\b`).test(code));
    expect(unread.map(([, { name }]) => name)).toEqual([]);
  });

  it("have one name each", () => {
    const names = settingList().map(([, { name }]) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("packageVersion", () => {
  it("R34 is written in package.json alone", () => {
    const version = packageVersion();
    expect(version).toBe(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version);
    const copies = sourcesOf("src").filter((path) => readFileSync(join(root, path), "utf8").includes(`"${version}"`));
    expect(copies).toEqual([]);
  });
});
