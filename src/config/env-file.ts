/**
 * Reads the bytes of a `.env` file: UTF-8 with or without a byte order mark. Any other encoding is refused with its
 * name. Names that we do not know are other programs' business and no fault.
 */
import { parseEnv } from "node:util";
import { StoreError } from "../errors/store-error.ts";

/**
 * The assignments in a `.env` file.
 * @throws StoreError `config_invalid` when the file is not UTF-8 text.
 */
export function parseEnvFile(path: string, bytes: Uint8Array): Readonly<Record<string, string | undefined>> {
  if (isUtf16(bytes)) throw notUtf8(path, "it is UTF-16");
  return parseEnv(decode(path, bytes));
}

function isUtf16(bytes: Uint8Array): boolean {
  const [first, second] = bytes;
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || bytes.includes(0);
}

function decode(path: string, bytes: Uint8Array): string {
  try {
    // Takes a byte order mark off by itself.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw notUtf8(path, "it holds bytes that are not UTF-8", cause);
  }
}

function notUtf8(path: string, reason: string, cause?: unknown): StoreError {
  return new StoreError("config_invalid", `${path} cannot be read: ${reason}. Save it as UTF-8.`, { cause });
}
