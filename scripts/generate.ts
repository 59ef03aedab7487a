/** Writes the files, and parts of files, that are generated from the code. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { commandDoc } from "../src/cli/command-doc.ts";
import { configurationDoc, envExample } from "../src/config/describe.ts";
import { withNamedFormats } from "../src/files/formats/formats-doc.ts";
import { schemaFileName, schemaFileText } from "../src/registry/schema-files.ts";
import { storeSchemas } from "../src/registry/store-schemas.ts";
import { withEndpoints } from "../src/service/endpoints-doc.ts";
import { metricsDoc } from "../src/telemetry/metrics-doc.ts";
import { withResults } from "./bench/benchmarks-doc.ts";
import { newestResult } from "./bench/results.ts";
import { dashboards } from "./dashboards.ts";

const root = new URL("../", import.meta.url);
mkdirSync(new URL("docs/", root), { recursive: true });
writeFileSync(new URL("docs/configuration.md", root), configurationDoc());
writeFileSync(new URL(".env.example", root), envExample());
writeFileSync(new URL("docs/cli.md", root), await commandDoc());
writeFileSync(new URL("docs/metrics.md", root), metricsDoc());
const files = new URL("docs/files-and-formats.md", root);
writeFileSync(files, withNamedFormats(readFileSync(files, "utf8")));
const benchmarks = new URL("docs/benchmarks.md", root);
writeFileSync(benchmarks, withResults(readFileSync(benchmarks, "utf8"), newestResult()));

const schemas = storeSchemas();
const track = new URL("contracts/v1/", root);
mkdirSync(track, { recursive: true });
for (const stale of readdirSync(track).filter((file) => !(file.replace(/\.schema\.json$/, "") in schemas))) {
  rmSync(new URL(stale, track));
}
for (const [name, schema] of Object.entries(schemas)) {
  writeFileSync(new URL(schemaFileName(name), track), schemaFileText(schema));
}
const http = new URL("docs/http.md", root);
writeFileSync(http, withEndpoints(readFileSync(http, "utf8")));

const grafana = new URL("infra/grafana/dashboards/", root);
mkdirSync(grafana, { recursive: true });
for (const [file, text] of Object.entries(dashboards())) writeFileSync(new URL(file, grafana), text);
