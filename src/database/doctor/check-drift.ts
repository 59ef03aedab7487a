/**
 * Compares the database with what the migrations of this version make, fact by fact: what is missing or another, and who
 * may use what. Things that no migration makes, such as partitions or an operator's own view, are none of its business,
 * but rights on ours are.
 */
import { readFile } from "node:fs/promises";
import { withOwner } from "../owner-session.ts";
import { type Check, type Examination, type Finding, named } from "./finding.ts";
import { readSchemaFacts, type SchemaFacts } from "./schema-facts.ts";

const MANIFESTS = new URL("../../../migrations/", import.meta.url);
/** More than these would not be read; the rest is counted. */
const MAX_FINDINGS = 50;

export const checkDrift: Check = async (examination) => {
  // By what the engine's migration makes: the record of the engine may be what is broken.
  const [row] = await examination.ask<{ timescale: boolean }>(
    `select exists (
       select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname = 'store' and p.proname = 'is_hypertable'
     ) as timescale`,
  );
  const expected = row!.timescale ? await expectedOfTimescale(examination) : await readManifest("manifest.json");
  const actual = await readSchemaFacts(examination.admin);
  const drift = driftFindings(expected, actual);
  const grants = grantFindings(expected, actual, examination.adminUrl);
  return [...drift.slice(0, MAX_FINDINGS), ...leftOut(drift.length - MAX_FINDINGS), ...grants];
};

async function readManifest(name: string): Promise<SchemaFacts> {
  return JSON.parse(await readFile(new URL(name, MANIFESTS), "utf8")) as SchemaFacts;
}

/** Tables that a move has not reached yet are as on plain. */
async function expectedOfTimescale({ ask }: Examination): Promise<SchemaFacts> {
  const unmoved = await ask<{ name: string }>(
    "select 'store.' || p.dataset || '_data' as name from store.policies p where not store.is_hypertable(p.dataset)",
    [],
    { asOwner: true },
  );
  const facts = await readManifest("manifest.timescale.json");
  if (unmoved.length === 0) return facts;
  const tables = new Set(unmoved.map(({ name }) => name));
  const isUnmoved = ([key]: [string, unknown]): boolean => !isGrant(key) && tables.has(relationOf(key));
  const plain = Object.entries(await readManifest("manifest.json"));
  return Object.fromEntries([...Object.entries(facts).filter((fact) => !isUnmoved(fact)), ...plain.filter(isUnmoved)]);
}

const isGrant = (key: string): boolean => key.startsWith("grant ");

function driftFindings(expected: SchemaFacts, actual: SchemaFacts): Finding[] {
  const missing = new Set(Object.keys(expected).filter((key) => !(key in actual)));
  const findings: Finding[] = [];
  for (const [key, fact] of Object.entries(expected)) {
    if (isGrant(key) || isPartOf(key, missing) || actual[key] === fact) continue;
    const kind = key.slice(0, key.indexOf(" "));
    const isMissing = missing.has(key);
    findings.push({
      code: `${kind}_${isMissing ? "missing" : "changed"}`,
      severity: "error",
      message: isMissing
        ? `The ${key} is missing.`
        : `The ${key} is not what the migrations make${differenceOf(kind, fact, actual[key]!)}.`,
      remedy: isMissing
        ? "Make it again as the migrations do (`grep` for its name in the package's folder migrations), or restore a backup."
        : "Undo the change by hand, as mds_owner; changes that are meant belong into a migration.",
    });
  }
  return findings;
}

/** What belongs to a relation that is missing is missing too, and not worth a word of its own. */
function isPartOf(key: string, missing: ReadonlySet<string>): boolean {
  return !key.startsWith("relation ") && missing.has(`relation ${relationOf(key)}`);
}

/** The relation that a fact is about, by its schema and name. */
function relationOf(key: string): string {
  const [kind, name = ""] = key.split(" ");
  return kind === "view" ? name : name.split(".").slice(0, 2).join(".");
}

function differenceOf(kind: string, expected: string, actual: string): string {
  if (kind === "function" || kind === "view") return "";
  return `: it is "${actual}", and should be "${expected}"`;
}

function leftOut(count: number): Finding[] {
  if (count <= 0) return [];
  const message = `${count} more parts of the schema are missing or changed.`;
  const remedy = "Mend those above first; is this the right database?";
  return [{ code: "schema_drift", severity: "error", message, remedy }];
}

function grantFindings(expected: SchemaFacts, actual: SchemaFacts, adminUrl: string): Finding[] {
  // A grant on something that is missing comes with it.
  const there = (key: string): boolean => / on schema /.test(key) || targetOf(key) in actual;
  const missing = Object.keys(expected).filter((key) => isGrant(key) && !(key in actual) && there(key));
  const extra = Object.keys(actual).filter((key) => isGrant(key) && !(key in expected) && isOurs(key, expected));
  const findings: Finding[] = [];
  if (missing.length > 0) {
    findings.push({
      code: "grant_missing",
      severity: "error",
      message: `These rights are missing: ${named(missing.map(withoutVerb))}.`,
      remedy: "Grant them again as mds_owner, or let `mds doctor --fix` do it.",
      fix: () => grantAgain(missing, adminUrl),
    });
  }
  if (extra.length > 0) {
    findings.push({
      code: "grant_unexpected",
      severity: "warning",
      message: `Somebody may do what nobody should: ${named(extra.map(withoutVerb))}.`,
      remedy: "Revoke these rights as mds_owner, unless you mean them.",
    });
  }
  return findings;
}

async function grantAgain(missing: readonly string[], adminUrl: string): Promise<string> {
  // The manifest's own words, which are SQL.
  await withOwner({ adminUrl }, async (owner) => {
    for (const grant of missing) await owner.query(grant);
  });
  return `Granted ${missing.length === 1 ? "the right that was" : `${missing.length} rights that were`} missing.`;
}

const withoutVerb = (key: string): string => key.slice("grant ".length);

/** The key of what is granted. */
function targetOf(key: string): string {
  const [, isFunction, target] = / on (function )?(.*) to /.exec(key) ?? [];
  return `${isFunction === undefined ? "relation" : "function"} ${target}`;
}

function isOurs(key: string, expected: SchemaFacts): boolean {
  return / on schema /.test(key) || targetOf(key) in expected;
}
