/** `mds config`, and the settings as the command reads them. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mds, scratchFolder } from "../support/mds-command.ts";

interface ConfigRow {
  readonly name: string;
  readonly value: string;
  readonly source: string;
}

let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeEach(async () => {
  scratch = await scratchFolder();
});

afterEach(async () => {
  await scratch.remove();
});

const config = (env: Record<string, string>, ...args: string[]) => mds(["config", ...args], { cwd: scratch.path, env });

describe("mds config", () => {
  it("shows every setting, where it comes from, and no secret", async () => {
    await writeFile(join(scratch.path, ".env"), "LOG_LEVEL=warn\n");
    const env = { DATABASE_URL: "postgres://u:hunter2@h/d", PORT: "9000" };
    const { code, stdout, stderr } = await config(env, "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const rows = JSON.parse(stdout) as ConfigRow[];
    const rowOf = (name: string) => rows.find((row) => row.name === name);
    expect(rowOf("DATABASE_URL")).toMatchObject({ value: "postgresql://u:***@h/d", source: "environment" });
    expect(rowOf("PORT")).toMatchObject({ value: "9000", source: "environment" });
    expect(rowOf("LOG_LEVEL")).toMatchObject({ value: "warn", source: ".env" });
    expect(rowOf("MDS_DATA_DIR")).toMatchObject({ value: ".mds", source: "default" });
    expect(stdout).not.toContain("hunter2");

    const table = await config(env);
    expect(table.stdout.split("\n")[0]).toMatch(/^name +value +default +source +meaning$/);
    expect(table.stdout.trimEnd().split("\n")).toHaveLength(rows.length + 1);
    expect(table.stdout).not.toContain("hunter2");
  });

  it("R34 goes on with an unknown name in .env and warns of one that looks like ours", async () => {
    await writeFile(join(scratch.path, ".env"), "SOME_OTHER_TOOL=1\nMDS_TENNANT_ID=acme\n");
    const { code, stderr } = await config({});
    expect(code).toBe(0);
    expect(stderr).toBe("Warning: MDS_TENNANT_ID is no setting of this version; the nearest is MDS_TENANT_ID.\n");
  });

  it("R34 refuses a .env in UTF-16 with that reason, and reads one with a byte order mark", async () => {
    await writeFile(join(scratch.path, ".env"), Buffer.from("\ufeffPORT=9000\n", "utf16le"));
    expect(await config({})).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(
        /^mds: .*\.env cannot be read: it is UTF-16\. Save it as UTF-8\. \(config_invalid\)\n$/,
      ),
    });
    await writeFile(join(scratch.path, ".env"), "\ufeffPORT=9000\n");
    expect(JSON.parse((await config({}, "--json")).stdout)).toContainEqual(
      expect.objectContaining({ name: "PORT", value: "9000", source: ".env" }),
    );
  });

  it("ends with 1 and all faults when the environment is wrong", async () => {
    const { code, stderr } = await config({ PORT: "x", LOG_LEVEL: "loud" });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mds: 2 settings are wrong:\n- PORT .*\n- LOG_LEVEL .*\(config_invalid\)\n$/);
  });
});
