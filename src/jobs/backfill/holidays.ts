/** Reads a list of holidays from a file below the folders of backfills: one date a line, blank lines and # aside. */
import { showValue } from "../../datasets/values/show-value.ts";
import { StoreError } from "../../errors/store-error.ts";
import { openLocalFile } from "./local-files.ts";

/** Some ten thousand dates with a comment each: far more than there are. */
const MAX_BYTES = 1_048_576;

/** @throws StoreError `backfill_refused`, `file_unreadable`. */
export async function readHolidays(path: string, dirs: readonly string[]): Promise<ReadonlySet<string>> {
  const { name, stream } = await openLocalFile(path, dirs);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BYTES) throw new StoreError("file_unreadable", `${name} is larger than a list of holidays may be.`);
  }
  const dates = new Set<string>();
  for (const [at, line] of Buffer.concat(chunks)
    .toString()
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .entries()) {
    const date = line.replace(/#.*/, "").trim();
    if (date === "") continue;
    if (!isDate(date)) {
      const advice = "write one date a line, as in 2024-12-25";
      throw new StoreError("file_unreadable", `${name} has ${showValue(date)} in line ${at + 1}; ${advice}.`);
    }
    dates.add(date);
  }
  return dates;
}

function isDate(text: string): boolean {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}
