import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { withNamedFormats } from "../files/formats/formats-doc.ts";
import { withEndpoints } from "../service/endpoints-doc.ts";
import { commandDoc } from "./command-doc.ts";

const read = (path: string): string => readFileSync(join(import.meta.dirname, "../..", path), "utf8");

describe("generated documents", () => {
  it("docs/cli.md is up to date (else: npm run generate)", async () => {
    expect(read("docs/cli.md")).toBe(await commandDoc());
  });

  it("docs/files-and-formats.md has the named formats as they are (else: npm run generate)", () => {
    const document = read("docs/files-and-formats.md");
    expect(document).toBe(withNamedFormats(document));
    expect(document.match(/^### \w+$/gm)).toContain("### binance");
  });

  it("docs/http.md has the routes as they are (else: npm run generate)", () => {
    const document = read("docs/http.md");
    expect(document).toBe(withEndpoints(document));
    expect(document).toContain("| `POST /backfill/{job}` (admin) |");
  });

  it("docs/cli.md has every verb with its options and examples", async () => {
    const text = await commandDoc();
    for (const verb of ["serve", "ingest", "dump", "restore", "tenant create", "write option"]) {
      expect(text).toMatch(new RegExp(`^##+ mds ${verb}\n\n\`\`\`text\nUsage: mds ${verb} [\\s\\S]*?Examples:`, "m"));
    }
  });
});
