/** How the scripts answer careless use; none of this measures anything. */
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { startProgram } from "../support/mds-command.ts";

it.each([
  ["save-bench.ts", ["--rows", "many"], "rows is NaN; it must be a whole number from 1000 to 5000000."],
  [
    "save-bench.ts",
    ["--dsn", "localhost/hunter2"],
    expect.stringMatching(/^url is no PostgreSQL URL; [^:]+:\/\/user:/),
  ],
  ["save-bench.ts", ["--row", "5"], "Unknown option '--row'."],
  ["bench-guard.ts", ["now"], "Unexpected argument 'now'."],
  ["faults.ts", ["--count", "x"], "--count 'x' is not a whole number of 1 or more."],
  ["faults.ts", ["--cuont", "5"], "Unknown option '--cuont'."],
  ["soak.ts", ["--minutes", "0"], "--minutes '0' is no number from 1 to 10080."],
  ["soak.ts", ["--minutes"], "Option '--minutes <value>' argument missing."],
])("%s %j ends with 2, one sentence and its usage", async (script, args, sentence) => {
  const path = fileURLToPath(new URL(`../../scripts/${script}`, import.meta.url));
  const { code, stdout, stderr } = await startProgram(process.execPath, [path, ...args]).done;
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  const [first, usage, ...rest] = stderr.trimEnd().split("\n");
  expect(first).toEqual(sentence);
  expect(usage).toMatch(/^Usage: npm run /);
  expect(rest).toEqual([]);
});
