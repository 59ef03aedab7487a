/** Migrations that are pending, were altered, or are not known to this version. */
import { bringUpToDate } from "../bring-up-to-date.ts";
import { migrationStatus } from "../migrator.ts";
import { type Check, type Finding, named } from "./finding.ts";

export const checkMigrations: Check = async ({ adminUrl, serviceUrl, engine }) => {
  const states = await migrationStatus({ adminUrl });
  const inState = (wanted: string): string[] =>
    states.filter(({ state }) => state === wanted).map(({ version, name }) => `${version} (${name})`);
  const [pending, altered, unknown] = [inState("pending"), inState("altered"), inState("unknown")];
  const findings: Finding[] = [];
  if (altered.length > 0) {
    findings.push({
      code: "migration_altered",
      severity: "error",
      message: `Of these migrations the file is another now than when it was applied: ${named(altered)}.`,
      remedy: "Restore the released files; make changes in a new migration.",
    });
  }
  if (unknown.length > 0) {
    findings.push({
      code: "migration_unknown",
      severity: "error",
      message: `The database has migrations that this version does not know: ${named(unknown)}.`,
      remedy: "Run the version that applied them, or a newer one.",
    });
  }
  if (pending.length > 0) {
    const finding: Finding = {
      code: "migration_pending",
      severity: "error",
      message: `These migrations are not applied: ${named(pending)}.`,
      remedy: "Run `mds migrate`.",
    };
    const fix = async (): Promise<string> => {
      const options = { adminUrl, serviceUrl, ...(engine !== undefined && { engine: engine as "plain" }) };
      return `Applied ${(await bringUpToDate(options)).length} migrations.`;
    };
    findings.push(altered.length + unknown.length > 0 ? finding : { ...finding, fix });
  }
  return findings;
};
