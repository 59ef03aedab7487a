/** `mds doctor`: compares the database with what it should be, says how to mend what is not, and mends what is safe. */
import type { Command } from "commander";
import { type Diagnosis, diagnose } from "../../database/doctor/diagnose.ts";
import { backfillAccess } from "../../jobs/backfill/backfill-access.ts";
import { builtInJobs } from "../../jobs/built-in-jobs.ts";
import { withDatabase } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type DatabaseFlags } from "../flags.ts";
import { EXIT, type Shell } from "../shell.ts";

interface DoctorFlags extends DatabaseFlags {
  readonly fix?: boolean;
  readonly json?: boolean;
}

const NOTES = `
Looking changes nothing. --fix applies pending migrations, makes roles, memberships and rights that are missing and
partitions ahead, ends a detaching that was begun, and drops invalid indexes; it says what it did. Ends with 1 where an
error is left, and with 0 where there are warnings alone.`;

export function doctor(command: Command, shell: Shell): void {
  command.option("--fix", "mend what is safe to mend");
  addJsonFlag(addDatabaseFlag(command)).action(({ dsn, fix, json }: DoctorFlags) => {
    const config = shell.configure({ dsn });
    return withDatabase(
      shell,
      config,
      async ({ url, adminUrl }, signal) => {
        const { databasePoolSize: poolSize, engine } = config.values;
        const jobs = builtInJobs(backfillAccess(config));
        const scheduledJobs = jobs.filter(({ schedule }) => schedule !== undefined).map(({ name }) => name);
        const options = { adminUrl, serviceUrl: url, poolSize, engine, scheduledJobs, signal };
        const diagnosis = await diagnose(options, { fix: fix === true });
        if (json) await shell.output.json(asJson(diagnosis));
        else await shell.output.data(asText(diagnosis));
        if (diagnosis.findings.some(({ severity }) => severity === "error")) shell.exitCode = EXIT.failed;
      },
      { migrateEmbedded: false },
    );
  });
  command.addHelpText("after", NOTES);
  addExamples(command, "npx mds doctor", "npx mds doctor --fix", "npx mds doctor --json | jq -r '.findings[].code'");
}

function asJson({ findings, mended }: Diagnosis): object {
  return {
    findings: findings.map(({ code, severity, message, remedy, fix }) => ({
      code,
      severity,
      message,
      remedy,
      fixable: fix !== undefined,
    })),
    mended,
  };
}

function asText({ findings, mended }: Diagnosis): string {
  const lines = [
    ...mended.map(({ code, message }) => `mended   ${code}: ${message}`),
    ...findings.flatMap(({ code, severity, message, remedy, fix }) => [
      `${severity.padEnd(7)}  ${code}: ${message}`,
      `         ${remedy}${fix === undefined ? "" : " (--fix does it)"}`,
    ]),
  ];
  if (findings.length === 0) lines.push("All is well.");
  return `${lines.join("\n")}\n`;
}
