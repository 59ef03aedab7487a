/**
 * The admin token of a service on an embedded database: made at the first start, kept in the data folder for its owner
 * alone, and the same at every further start.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { access, chmod, link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, StoreError } from "../errors/store-error.ts";

const FILE_NAME = "admin-token";
const TOKEN_BYTES = 32;
const TOKEN_FORM = /^[!-~]{16,512}$/;
const OWNER_ONLY = 0o600;

/** A token and where it is kept. */
export interface KeptAdminToken {
  readonly token: string;
  readonly path: string;
  /** Whether it was made just now. */
  readonly isNew: boolean;
}

/**
 * The token that is kept in a data folder; both are made when missing.
 *
 * @throws StoreError `config_invalid` when it cannot be kept, or when the file holds something else.
 */
export async function keepAdminToken(dataDir: string): Promise<KeptAdminToken> {
  const path = join(dataDir, FILE_NAME);
  try {
    await mkdir(dataDir, { recursive: true });
    const made = (await exists(path)) ? undefined : await make(path);
    const token = (await readFile(path, "utf8")).trim();
    if (!TOKEN_FORM.test(token)) {
      throw new StoreError("config_invalid", `${path} holds no token; delete it, and the next start makes a new one.`);
    }
    await chmod(path, OWNER_ONLY);
    return { token, path, isNew: token === made };
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    throw new StoreError("config_invalid", `The admin token cannot be kept in ${path}: ${messageOf(cause)}.`, {
      cause,
    });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Makes the file whole or not at all, and leaves one alone that is there: two services may start at once. */
async function make(path: string): Promise<string> {
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, `${token}\n`, { flag: "wx", mode: OWNER_ONLY });
  try {
    await link(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  return token;
}
