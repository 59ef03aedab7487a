import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADMIN_TOKEN, type AdminService, startAdminService } from "../support/admin-service.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

const documents = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" }).map((name) => `docs/${name}`),
].filter((file) => file.endsWith(".md"));

/** Every block of TypeScript in the documents, with where it stands. */
const snippets = documents.flatMap((file) => {
  const text = readFileSync(join(ROOT, file), "utf8");
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map((match) => ({
    code: match[1]!,
    where: `${file}:${text.slice(0, match.index).split("\n").length}`,
  }));
});

let database: TestDatabase;
let folder: string;
let service: AdminService;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(ROOT, ".snippets-"));
  service = await startAdminService(database);
  service.jobs.endsAtOnce = true;
});

afterAll(async () => {
  await service.stop();
  await database.drop();
  await rm(folder, { recursive: true });
});

describe("links between the documents", () => {
  it.each(documents)("lead somewhere: %s", (file) => {
    const text = readFileSync(join(ROOT, file), "utf8");
    const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1]!);
    expect(targets.filter((target) => !existsSync(join(ROOT, dirname(file), target)))).toEqual([]);
  });
});

describe("docs/getting-started.md", () => {
  it("leads from nothing to a dump of real data, as it stands", async () => {
    const text = readFileSync(join(ROOT, "docs/getting-started.md"), "utf8");
    const commands = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map((match) => match[1]).join("");
    const scratch = await mkdtemp(join(tmpdir(), "mds-getting-started-"));
    await symlink(join(ROOT, "node_modules"), join(scratch, "node_modules"));
    const script = `set -e\nnpx() { shift; "${process.execPath}" "${join(ROOT, "bin/mds.js")}" "$@"; }\n${commands}`;
    const { stdout, stderr } = await run("bash", ["-c", script], {
      cwd: scratch,
      env: { ...process.env, MDS_DSN: database.url },
      timeout: 50_000,
    });
    await rm(scratch, { recursive: true });
    expect(stderr).toContain("5,105 inserted");
    expect(stderr).toContain("5,105 unchanged");
    expect(stdout).toContain('"line":3,"code":"bar_impossible"');
    expect(stdout).toContain('"line":4,"code":"time_zone_missing"');
    expect(stdout.trimEnd().endsWith("identical")).toBe(true);
  });
});

describe("the snippets of the documents", () => {
  it("were found", () => {
    expect(snippets.length).toBeGreaterThanOrEqual(3);
  });

  it.each(snippets)("run as they stand: $where", async ({ code, where }) => {
    const file = join(folder, `${where.replaceAll(/\W/g, "-")}.ts`);
    await writeFile(file, code.replace('from "market-data-store"', `from "${join(ROOT, "src/index.ts")}"`));
    const { stderr } = await run(process.execPath, [file], {
      env: {
        ...process.env,
        DATABASE_URL: database.url,
        ADMIN_DATABASE_URL: database.adminUrl,
        STORE_URL: service.url,
        ADMIN_TOKEN,
      },
      timeout: 30_000,
    });
    expect(stderr).toBe("");
  });
});
