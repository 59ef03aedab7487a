/**
 * Fails when an installed package has a licence that does not fit one under MIT: what runs with the store has to be
 * permissive, what only builds and tests it may also be under a weak copyleft. Reads what is installed and needs no network.
 */
import { existsSync, readFileSync } from "node:fs";

const PERMISSIVE = [
  "MIT",
  "ISC",
  "0BSD",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "PostgreSQL",
  "Zlib",
  "CC0-1.0",
  "Python-2.0",
  "Unlicense",
];
const WEAK_COPYLEFT = ["MPL-2.0", "CC-BY-4.0"];

interface LockedPackage {
  readonly dev?: boolean;
  readonly link?: boolean;
}

/** Whether an SPDX expression of AND and OR allows a use under the licences. Parentheses only surround it whole. */
function fits(expression: string, licences: readonly string[]): boolean {
  const bare = expression.replace(/^\((.*)\)$/, "$1");
  return bare.split(" OR ").some((choice) => choice.split(" AND ").every((name) => licences.includes(name)));
}

const root = new URL("../", import.meta.url);
const json = (path: string): unknown => JSON.parse(readFileSync(new URL(path, root), "utf8"));
const { packages } = json("package-lock.json") as { readonly packages: Readonly<Record<string, LockedPackage>> };

let seen = 0;
const faults: string[] = [];
for (const [path, { dev, link }] of Object.entries(packages)) {
  // Packages of other platforms are not installed.
  if (!path.startsWith("node_modules/") || link || !existsSync(new URL(`${path}/package.json`, root))) continue;
  const { license, licenses } = json(`${path}/package.json`) as {
    readonly license?: string | { readonly type: string };
    readonly licenses?: readonly { readonly type: string }[];
  };
  const given =
    typeof license === "object" ? license.type : (license ?? licenses?.map(({ type }) => type).join(" OR "));
  seen++;
  if (!fits(given ?? "none", dev ? [...PERMISSIVE, ...WEAK_COPYLEFT] : PERMISSIVE))
    faults.push(`${path}: ${given ?? "no licence"}`);
}
for (const fault of faults) console.error(fault);
if (faults.length > 0 || seen === 0) {
  console.error(
    seen === 0
      ? "No package is installed; run npm ci first."
      : "These licences do not fit; see docs/decisions/dependencies.md.",
  );
  process.exitCode = 1;
} else console.log(`The licences of ${seen} installed packages fit.`);
