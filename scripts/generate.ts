/** Writes the files, and parts of files, that are generated from the code. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { commandDoc } from "../src/cli/command-doc.ts";
import { configurationDoc, envExample } from "../src/config/describe.ts";
import { withNamedFormats } from "../src/files/formats/formats-doc.ts";
import { withEndpoints } from "../src/service/endpoints-doc.ts";

const root = new URL("../", import.meta.url);
mkdirSync(new URL("docs/", root), { recursive: true });
writeFileSync(new URL("docs/configuration.md", root), configurationDoc());
writeFileSync(new URL(".env.example", root), envExample());
writeFileSync(new URL("docs/cli.md", root), await commandDoc());
const files = new URL("docs/files-and-formats.md", root);
writeFileSync(files, withNamedFormats(readFileSync(files, "utf8")));
const http = new URL("docs/http.md", root);
writeFileSync(http, withEndpoints(readFileSync(http, "utf8")));
