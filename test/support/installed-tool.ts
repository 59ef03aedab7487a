/** Programs of other projects that tests need: where they are, or a loud word about what is not tested without them. */
import { access, constants } from "node:fs/promises";
import { join } from "node:path";

export interface InstalledTool {
  /** Undefined where it is not installed. */
  readonly path: string | undefined;
  /** For the name of what is skipped; empty where it is installed. */
  readonly missing: string;
}

/** Looks it up; says loudly what is not tested where there is none. */
export async function toolOrWarning(program: string, debianPackage: string, what: string): Promise<InstalledTool> {
  for (const folder of [...(process.env["PATH"] ?? "").split(":"), "/usr/bin", "/usr/sbin", "/usr/local/bin"]) {
    const path = join(folder, program);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return { path, missing: "" };
  }
  const install = `apt-get install ${debianPackage}`;
  console.warn(`SKIPPED: ${what} was not tested, for ${program} is not installed: ${install}`);
  return { path: undefined, missing: ` (not installed: ${install})` };
}
