import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { builtInJobs } from "./built-in-jobs.ts";
import { definitionsByName } from "./definitions-by-name.ts";
import { parseInput } from "./parse-input.ts";

const BUILT_IN_JOBS = builtInJobs({ dirs: [], hosts: [], credentials: new Map() });

const document = readFileSync(new URL("../../docs/jobs.md", import.meta.url), "utf8");

/** Rows of the table of jobs: name, schedule in words, description. */
const rows = [...document.matchAll(/^\| `([a-z-]+)` \| `([^|]*)` \| ([^|]+) \| ([^|]+) \|$/gm)].map(
  ([, name, input, schedule, description]) => ({ name: name!, input: input!, schedule, description }),
);

/** `03:20 daily`, `hourly at :05`, `every minute`; any other as it is. */
function inWords(schedule: string | undefined): string {
  if (schedule === undefined) return "-";
  const [minute = "", hour = ""] = schedule.split(" ");
  if (schedule === "* * * * *") return "every minute";
  if (/^\d+ \d+ \* \* \*$/.test(schedule)) return `${hour.padStart(2, "0")}:${minute.padStart(2, "0")} daily`;
  if (/^\d+ \* \* \* \*$/.test(schedule)) return `hourly at :${minute.padStart(2, "0")}`;
  return `\`${schedule}\``;
}

describe("the built-in jobs", () => {
  it("are those of docs/jobs.md", () => {
    const jobs = BUILT_IN_JOBS.map(({ name, schedule, description }) => {
      return { name, schedule: inWords(schedule), description };
    });
    expect(rows.map(({ name, schedule, description }) => ({ name, schedule, description }))).toEqual(
      jobs.sort((one, other) => (one.name < other.name ? -1 : 1)),
    );
  });

  it.each(rows)("$name may be asked for as docs/jobs.md shows", async ({ name, input }) => {
    await expect(parseInput(definitionsByName(BUILT_IN_JOBS).get(name)!, JSON.parse(input))).resolves.toBeDefined();
  });

  it("have names of their own, and inputs that a schedule can do without", async () => {
    expect(definitionsByName(BUILT_IN_JOBS).size).toBe(BUILT_IN_JOBS.length);
    for (const job of BUILT_IN_JOBS.filter(({ schedule }) => schedule !== undefined)) {
      await expect(parseInput(job, {})).resolves.toBeDefined();
    }
  });
});
