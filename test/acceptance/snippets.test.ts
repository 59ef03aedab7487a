import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

/** Every block of TypeScript in the documents, with where it stands. */
const snippets = ["README.md", ...readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`)]
  .filter((file) => file.endsWith(".md"))
  .flatMap((file) => {
    const text = readFileSync(join(ROOT, file), "utf8");
    return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map((match) => ({
      code: match[1]!,
      where: `${file}:${text.slice(0, match.index).split("\n").length}`,
    }));
  });

let database: TestDatabase;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(ROOT, ".snippets-"));
});

afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

describe("the snippets of the documents", () => {
  it("were found", () => {
    expect(snippets.length).toBeGreaterThanOrEqual(3);
  });

  it.each(snippets)("run as they stand: $where", async ({ code, where }) => {
    const file = join(folder, `${where.replaceAll(/\W/g, "-")}.ts`);
    await writeFile(file, code.replace('from "market-data-store"', `from "${join(ROOT, "src/index.ts")}"`));
    const { stderr } = await run(process.execPath, [file], {
      env: { ...process.env, DATABASE_URL: database.url },
      timeout: 30_000,
    });
    expect(stderr).toBe("");
  });
});
