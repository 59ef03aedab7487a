/** The page /docs in a real browser, which sees nothing but this host and says what the page's policy refuses. */
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { ENDPOINTS } from "../../src/control/endpoints.ts";
import { startAdminService } from "../support/admin-service.ts";
import { scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase } from "../support/test-database.ts";

const BROWSERS = ["chromium", "chromium-browser", "google-chrome"];

function findBrowser(): string | undefined {
  return BROWSERS.find((name) => {
    try {
      execFileSync(name, ["--version"], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  });
}

const browser = findBrowser();
if (browser === undefined) {
  console.warn(
    `SKIPPED: the page /docs was not opened in a browser, because none of ${BROWSERS.join(", ")} is installed.`,
  );
}

describe.skipIf(browser === undefined)("/docs in a browser", () => {
  it("shows every route, and its own policy refuses nothing of it", async () => {
    const database = await createTestDatabase();
    const service = await startAdminService(database);
    const profile = await scratchFolder();
    const flags = [
      "--headless",
      "--no-sandbox", // root, as in containers, may have none
      "--disable-gpu",
      `--user-data-dir=${profile.path}`,
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
      "--enable-logging=stderr",
      "--dump-dom",
    ];
    try {
      const run = promisify(execFile)(browser!, [...flags, `${service.url}/docs`], { timeout: 45_000, maxBuffer: 1e7 });
      const { stdout, stderr } = await run;
      for (const { path, summary } of Object.values(ENDPOINTS)) {
        expect(stdout).toContain(`<code>${path}</code>`);
        expect(stdout).toContain(summary);
      }
      expect(stdout.match(/<section /g)).toHaveLength(Object.keys(ENDPOINTS).length);
      expect(stderr).not.toMatch(/CONSOLE|Content Security Policy|Refused/);
    } finally {
      await service.stop();
      await profile.remove();
      await database.drop();
    }
  });
});
