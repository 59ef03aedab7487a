/** Prints what a test run did, from vitest's JSON report: each skipped test by name, and the counts as the last line. */
import { readFileSync } from "node:fs";

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const report = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as Report;
for (const { status, fullName } of report.testResults.flatMap((file) => file.assertionResults)) {
  if (status === "skipped" || status === "pending") console.log(`SKIPPED: ${fullName}`);
}
const { numPassedTests, numFailedTests, numPendingTests } = report;
if (numPassedTests === 0) {
  console.log("No test ran.");
  process.exitCode = 1;
}
console.log(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`);
