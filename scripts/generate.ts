/** Writes the files that are generated from the code: docs/configuration.md and .env.example. */
import { mkdirSync, writeFileSync } from "node:fs";
import { configurationDoc, envExample } from "../src/config/describe.ts";

const root = new URL("../", import.meta.url);
mkdirSync(new URL("docs/", root), { recursive: true });
writeFileSync(new URL("docs/configuration.md", root), configurationDoc());
writeFileSync(new URL(".env.example", root), envExample());
