/**
 * Ingest tokens: secrets that name a tenant for those who send rows over HTTP. A token is shown once, when it is made;
 * the database keeps its SHA-256. Who looks one up learns whose it is and nothing else.
 */
import { createHash, randomBytes } from "node:crypto";
import { StoreError } from "../errors/store-error.ts";
import { type RoleScope, runAsRole } from "./session.ts";
import { type AdminScope, requireTenant, unknownTenant } from "./tenants.ts";
import { utcText } from "./utc-text.ts";

/** A token as it is listed: without the secret. */
export interface IngestToken {
  readonly id: string;
  /** What it is for, for people. */
  readonly name: string;
  /** ISO 8601, UTC. */
  readonly created_at: string;
  /** ISO 8601, UTC; null while it is valid. */
  readonly revoked_at: string | null;
}

/** A token that was just made, with its secret. */
export interface CreatedIngestToken extends IngestToken {
  /** The only time that it is told. */
  readonly token: string;
}

const PREFIX = "mds_";
/** As much as the hash has; nobody guesses it. */
const SECRET_BYTES = 32;
const TOKEN_FORM = /^mds_[A-Za-z0-9_-]{43}$/;

const UUID_FORM = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const COLUMNS = `id, name, ${utcText("created_at")} as created_at, ${utcText("revoked_at")} as revoked_at`;

/**
 * Makes a token of a tenant, named by slug or UUID.
 *
 * @throws StoreError `tenant_unknown`, or `usage` for a name that is not allowed.
 */
export async function createIngestToken(
  scope: AdminScope,
  slugOrId: string,
  name: string,
  signal?: AbortSignal,
): Promise<CreatedIngestToken> {
  const token = PREFIX + randomBytes(SECRET_BYTES).toString("base64url");
  const text = `select ${COLUMNS} from mds.create_ingest_token($1, $2, $3)`;
  const [made] = await runAsAdmin<IngestToken>(scope, text, [slugOrId, sha256(token), name], signal).catch((error) => {
    throw asNameFault(error);
  });
  if (made === undefined) throw unknownTenant(slugOrId);
  return { ...made, token };
}

/**
 * A tenant's tokens, the newest first, revoked ones too; at most 1,000.
 *
 * @throws StoreError `tenant_unknown`.
 */
export async function listIngestTokens(
  scope: AdminScope,
  slugOrId: string,
  signal?: AbortSignal,
): Promise<IngestToken[]> {
  const text = `select ${COLUMNS} from mds.list_ingest_tokens($1)`;
  const tokens = await runAsAdmin<IngestToken>(scope, text, [slugOrId], signal);
  if (tokens.length === 0) await requireTenant(scope, slugOrId, signal);
  return tokens;
}

/**
 * Ends a token's validity; repeating it does nothing. Services that have looked it up believe in it for 30 s at most.
 *
 * @throws StoreError `token_unknown` when the tenant has no such token.
 */
export async function revokeIngestToken(
  scope: AdminScope,
  slugOrId: string,
  tokenId: string,
  signal?: AbortSignal,
): Promise<void> {
  const text = "select mds.revoke_ingest_token($1, $2) as found";
  const [row] = UUID_FORM.test(tokenId)
    ? await runAsAdmin<{ found: boolean }>(scope, text, [slugOrId, tokenId], signal)
    : [];
  if (row?.found !== true) {
    throw new StoreError(
      "token_unknown",
      `The tenant "${slugOrId}" has no token ${tokenId}; list them to see its ids.`,
    );
  }
}

/** The id of the tenant whose token this is; undefined for one that is not valid. Runs as mds_app. */
export async function findTokenTenant(
  scope: Omit<RoleScope, "role">,
  token: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (!isIngestToken(token)) return undefined;
  const statement = { text: "select mds.find_token_tenant($1) as id", values: [sha256(token)] };
  const [row] = await runAsRole<{ id: string | null }>({ ...scope, role: "mds_app" }, statement, signal);
  return row?.id ?? undefined;
}

/** Whether a text has the form of a token; others need no looking up. */
export function isIngestToken(text: string): boolean {
  return TOKEN_FORM.test(text);
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function runAsAdmin<Row>(
  scope: AdminScope,
  text: string,
  values: readonly unknown[],
  signal: AbortSignal | undefined,
): Promise<Row[]> {
  return runAsRole<Row>({ ...scope, role: "mds_admin" }, { text, values }, signal);
}

function asNameFault(error: unknown): unknown {
  if (!(error instanceof StoreError) || error.details["constraint"] !== "token_name_text") return error;
  const form = "1 to 200 characters, none of them a control character";
  return new StoreError("usage", `The token's name must have ${form}.`, { cause: error });
}
