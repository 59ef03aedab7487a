/** The package's version, read from package.json and from nowhere else. Works from `src/` and from `dist/`. */
import { readFileSync } from "node:fs";

/** The version in package.json, e.g. `0.5.0`. Reads the file at each call: ask once and pass it on. */
export function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  return version;
}
