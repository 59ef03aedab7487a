/** How the command is used and misused; none of this needs a database. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { chmod, cp, mkdir, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { MDS, mds, scratchFolder, startMds, startProgram } from "../support/mds-command.ts";

const VERBS = [
  "serve",
  "migrate",
  "seed",
  "tenant",
  "ingest",
  "query",
  "write",
  "dump",
  "restore",
  "latest",
  "jobs",
  "ping",
  "health",
  "schema-version",
  "config",
];
const SIGNAL = "--vendor v --symbol A --name n --ts 2024-01-02T00:00:00Z".split(" ");
const MANY_VENDORS = [1, 2, 3].flatMap((digit) => ["--vendor", String(digit).repeat(64)]);
const packageJson = JSON.parse(readFileSync(join(dirname(MDS), "../package.json"), "utf8")) as { version: string };

let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  scratch = await scratchFolder();
});

afterAll(async () => {
  await scratch.remove();
});

describe("help", () => {
  it("lists every verb", async () => {
    const { code, stdout, stderr } = await mds(["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const verb of VERBS) expect(stdout).toMatch(new RegExp(`^  ${verb} `, "m"));
  });

  it.each([
    ...VERBS.map((verb) => [verb]),
    ["write", "option"],
    ["tenant", "create"],
    ["tenant", "list"],
    ["tenant", "rename"],
    ["tenant", "bind"],
    ["tenant", "unbind"],
    ["tenant", "logins"],
    ["tenant", "token"],
    ["tenant", "token", "create"],
    ["tenant", "token", "list"],
    ["tenant", "token", "revoke"],
  ])("of %s %s has an example", async (...verb) => {
    const { code, stdout, stderr } = await mds([...verb, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`Examples:\\n.*mds ${verb.join(" ")}`));
  });

  it("R34 the version is that of package.json", async () => {
    expect(await mds(["--version"])).toMatchObject({ code: 0, stdout: `${packageJson.version}\n`, stderr: "" });
  });
});

describe("wrong usage", () => {
  it("ends with 2 and prints help to stderr when there is no verb", async () => {
    const { code, stdout, stderr } = await mds([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("Usage: mds");
  });

  it.each([
    [["bogus"], "mds: Unknown command 'bogus'. (usage)\n"],
    [["serv"], "mds: Unknown command 'serv'. (Did you mean serve?) (usage)\n"],
    [
      ["query", "news", "--symbol", "A"],
      /Rows of news cannot be told by --symbol; they can by --vendor, --start, --end/,
    ],
    [["query", "options", "--strike", "-1"], /--strike is -1, which is not above 0/],
    [["dump", "bars", "bars.parquet"], /"bars\.parquet" does not end in \.csv or \.ndjson/],
    [["dump", "bars", "{color}.csv"], /"\{color\}" stands for nothing; these do: \{dataset\}, \{vendor\}/],
    [["dump", "all", "x.csv"], /"x\.csv" would get both bars and options/],
    [["dump", "all", "-"], /takes one dataset/],
    [["dump", "all", "--symbol", "A"], /Rows of news cannot be told by --symbol/],
    [["dump", "bars", "x.csv", "--format", "csv"], /--format is for standard output/],
    [["dump", "bars", "-", "--json"], /--json has no place/],
    [["dump", "bars", `{vendor}.csv`, "--vendor", "x".repeat(64), ...MANY_VENDORS], /file name of \d+ bytes/],
    [["restore", "bars"], /Missing required argument 'file'/],
    [["restore", "bars", "x.csv", "--set", "vendor=x"], /Unknown option '--set'/],
    [["ingest", "news", "x.csv", "--format", "binance"], /--format binance hold bars and not news/],
    [["write", "bar", "--vendor", "x"], /A row needs --symbol, --timeframe, --ts too/],
    [
      ["write", "signal", ...SIGNAL, "--clear", "value"],
      /--clear names "value"; what can be made null is score, metadata/,
    ],
    [["write", "signal", ...SIGNAL, "--score", "1", "--clear", "score"], /contradict each other/],
    [["write", "signal", ...SIGNAL, "--ticker", "B"], /--symbol is given twice, once as --ticker/],
    [["query", "bars", "--bogus"], "mds: Unknown option '--bogus'. (usage)\n"],
    [["query", "trades"], /Allowed choices are bars/],
    [["query", "bars", "--limit", "ten"], /--limit .*whole number/],
    [["query", "bars", "--start", "2014-06-05T08:15:00"], /--start is "2014-06-05T08:15:00", which has no time zone/],
    [["query", "bars", "--timeframe", "60"], /timeframe is "60"/],
    [["query", "bars", "--timezone", "EST", "--start", "2014-06-05"], /"EST" is not a time zone/],
    [["ingest", "bars"], /Missing required argument 'file'/],
    [["ingest", "bars", "no-such-*.csv"], /No file matches no-such-\*\.csv/],
    [["ingest", "bars", "x.csv", "--set", "vendor"], /name=value/],
    [["ingest", "bars", "x.csv", "--set", "vendor=a,vendor=b"], /vendor is given twice/],
    [["ingest", "bars", "x.csv", "--set", "vender=a"], /"vender".*no column of bars/],
    [["ingest", "bars", "x.csv", "--set", "timeframe=1M"], /timeframe is "1M"/],
    [["ingest", "bars", "x.csv", "--batch-rows", "0"], /--batch-rows .*from 1 to 50000/],
    [["ingest", "bars", "x.csv", "--rejects", "-"], /Rejects go to a file/],
    [["latest", "BTC-USD"], /Required option '--vendor/],
    [["migrate", "sideways"], /Allowed choices are up, down, status, stamp/],
    [["migrate", "down"], /needs the version with --to N/],
    [["tenant", "rename", "acme"], /--slug SLUG or --name NAME/],
    [["health", "--url", "store:8082"], /must be an http or https URL/],
    [["serve", "--port", "80a"], /PORT is "80a" \(flag\)/],
  ])("%j ends with 2 and one sentence", async (args, sentence) => {
    const { code, stdout, stderr } = await mds(args, { cwd: scratch.path });
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    if (typeof sentence === "string") expect(stderr).toBe(sentence);
    else expect(stderr).toMatch(sentence);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).toMatch(/^mds: .*\((usage|config_invalid)\)\n$/);
  });

  it.each([
    [["ping", "--dsn", "postgres://u:hunter2@h:1/d#x"]],
    [["ping", "--dsn=mysql://u:hunter2@h/d"]],
    [["ping", "--dns=postgres://u:hunter2@h/d"]],
    [["ping", "postgres://u:hunter2@h/d"]],
    [["postgres://u:hunter2@h/d"]],
  ])("%j shows no password", async (args) => {
    const { code, stdout, stderr } = await mds(args, { env: { LOG_LEVEL: "debug" } });
    expect(code).toBe(2);
    expect(stdout + stderr).not.toContain("hunter2");
  });
});

describe.runIf(process.platform === "linux")("the process's title", () => {
  it("does not show what was given as --dsn", async () => {
    const silent = createServer();
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const running = startMds(["ping", "--dsn", `postgres://u:hunter2@127.0.0.1:${port}/d`]);
    const title = () => readFileSync(`/proc/${running.child.pid}/cmdline`, "utf8");
    await vi.waitFor(() => expect(title()).toMatch(/^mds ping/), { timeout: 10_000 });
    expect(title()).not.toContain("hunter2");
    running.child.kill("SIGKILL");
    await running.done;
    silent.close();
  });
});

describe("an old Node", () => {
  /** A copy of the starter that wants a Node that does not exist. */
  async function futureStarter(folder: string): Promise<string> {
    const root = join(scratch.path, folder);
    await mkdir(join(root, "bin"), { recursive: true });
    await cp(MDS, join(root, "bin/mds.js"));
    await writeFile(join(root, "package.json"), JSON.stringify({ type: "module", engines: { node: ">=99.1" } }));
    return join(root, "bin/mds.js");
  }

  it("is told what is needed in one sentence", async () => {
    const running = startProgram(process.execPath, [await futureStarter("old"), "ping"]);
    expect(await running.done).toEqual({
      code: 1,
      signal: null,
      stdout: "",
      stderr: expect.stringMatching(
        /^mds: This is Node \d+\.\d+\.\d+, and 99\.1 or newer is needed;.*`npm ci`.* \(runtime_too_old\)\n$/,
      ),
    });
  });

  /** Beside that starter, what it takes for the pinned Node. */
  async function pin(starter: string, script: string): Promise<void> {
    const folder = join(dirname(starter), `../node_modules/node-${process.platform}-${process.arch}`);
    await mkdir(join(folder, "bin"), { recursive: true });
    const node = join(folder, "bin/node");
    await writeFile(node, `#!/bin/sh\n${script}`);
    await chmod(node, 0o755);
  }

  it("hands over to the pinned one with arguments, exit code and signals", async () => {
    const starter = await futureStarter("pinned");
    await pin(starter, 'trap "exit 7" TERM\necho "$@"\nwhile :; do sleep 0.05; done\n');
    const running = startProgram(process.execPath, [starter, "query", "a b"]);
    await vi.waitFor(() => expect(running.output.stdout).toContain("\n"), { timeout: 10_000 });
    running.child.kill("SIGTERM");
    expect(await running.done).toMatchObject({ code: 7, stdout: `${starter} query a b\n`, stderr: "" });
  });

  it("takes the pinned one along, in order, when it is killed itself", async () => {
    const starter = await futureStarter("killed");
    await pin(starter, `shift\nexec '${process.execPath}' '${MDS}' "$@"\n`);
    const env = { DATABASE_URL: "postgres://mds@127.0.0.1:1/none", PORT: "0", HOST: "127.0.0.1" };
    const running = startProgram(process.execPath, [starter, "serve"], { env });
    await vi.waitFor(() => expect(running.output.stdout).toContain("Listening."), { timeout: 20_000 });
    running.child.kill("SIGKILL");
    // Ends when nobody holds its output any more.
    expect(await running.done).toMatchObject({ signal: "SIGKILL", stdout: expect.stringMatching(/"Stopped\."\}\n$/) });
  });
});
