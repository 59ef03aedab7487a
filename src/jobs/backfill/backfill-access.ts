/**
 * What backfill jobs may read: some folders and some hosts, and nothing unless the operator named it. Checks here need
 * no disk and no network, so that a job is refused before it is queued; those who open files check again.
 */
import path from "node:path";
import type { LoadedConfig } from "../../config/load.ts";
import { escapeUnsafe } from "../../datasets/values/show-value.ts";
import { StoreError } from "../../errors/store-error.ts";

/** The operator's word on backfills; empty lists allow nothing. */
export interface BackfillAccess {
  /** Absolute folders. */
  readonly dirs: readonly string[];
  /** `host` (its usual ports) or `host:port`, lower case. */
  readonly hosts: readonly string[];
  /** Bearer tokens by the name of their setting. */
  readonly credentials: ReadonlyMap<string, string>;
}

/** What the settings allow. */
export function backfillAccess({ values, backfillCredentials }: LoadedConfig): BackfillAccess {
  return { dirs: values.backfillDirs, hosts: values.backfillHosts, credentials: backfillCredentials };
}

/** A file's whole name or a URL, sorted out. */
export type SourceName = { readonly kind: "file"; readonly path: string } | { readonly kind: "url"; readonly url: URL };

const DEFAULT_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };
/** `..` as a segment, also inside the braces of a pattern. */
const UPWARDS = /(^|[/\\{,(|])\.\.([/\\},)|]|$)/;

/** @throws StoreError `backfill_refused` in one sentence. */
export function allowedSource(name: string, access: BackfillAccess): SourceName {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name)) return { kind: "url", url: allowedUrl(name, access) };
  return { kind: "file", path: allowedPath(name, access.dirs) };
}

function allowedPath(name: string, dirs: readonly string[]): string {
  const shown = escapeUnsafe(name);
  if (dirs.length === 0) {
    throw refused(`${shown} may not be read: backfills read local files only below the folders of MDS_BACKFILL_DIRS.`);
  }
  if (name.includes("\0") || UPWARDS.test(name)) {
    throw refused(`${shown} may not be read: a name has no ".." and no NUL in it.`);
  }
  if (!path.isAbsolute(name)) {
    throw refused(`${shown} is a relative name; name files by their whole path, below a folder of MDS_BACKFILL_DIRS.`);
  }
  const normal = path.normalize(name);
  if (!dirs.some((dir) => isBelow(normal, path.resolve(dir)))) throw outside(shown);
  return normal;
}

/** Whether a normal, absolute name is a folder or below it. */
export function isBelow(name: string, folder: string): boolean {
  const relative = path.relative(folder, name);
  return relative !== ".." && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}

function allowedUrl(name: string, access: BackfillAccess): URL {
  const url = URL.canParse(name) ? new URL(name) : undefined;
  if (url === undefined) throw refused("A URL of this job cannot be understood; write it as https://host/path.");
  const shown = urlName(url);
  if (!(url.protocol in DEFAULT_PORTS)) throw refused(`${shown} may not be read: only http and https URLs are.`);
  if (url.username !== "" || url.password !== "") {
    throw refused(`${shown} has credentials in it; keep the token in a setting and name that as credentials.`);
  }
  if (!isAllowedHost(url, access.hosts)) {
    throw refused(`${shown} may not be read: its host and port are not among MDS_BACKFILL_HOSTS.`);
  }
  url.hash = "";
  return url;
}

/** Whether the operator named this URL's host and port. */
export function isAllowedHost(url: URL, hosts: readonly string[]): boolean {
  const port = url.port === "" ? DEFAULT_PORTS[url.protocol] : url.port;
  const isUsual = port === DEFAULT_PORTS[url.protocol];
  return hosts.includes(`${url.hostname}:${port}`) || (isUsual && hosts.includes(url.hostname));
}

/** How logs and errors call a URL: without its query, which may hold a key, and without credentials. */
export function urlName(url: URL): string {
  return escapeUnsafe(`${url.protocol}//${url.host}${url.pathname}`);
}

/** How logs and errors call a file or URL as it was asked for. */
export function shownName(name: string): string {
  return URL.canParse(name) && /^https?:/i.test(name) ? urlName(new URL(name)) : escapeUnsafe(name);
}

/**
 * The token of a setting that a job names; undefined where it names none.
 *
 * @throws StoreError `backfill_refused` for a setting that is not there.
 */
export function bearerToken(name: string | undefined, access: BackfillAccess): string | undefined {
  if (name === undefined) return undefined;
  const token = access.credentials.get(name);
  if (token !== undefined) return token;
  const known = "set it as MDS_BACKFILL_CREDENTIAL_… where the job runs, and name it by that whole name";
  throw refused(`There is no credential ${escapeUnsafe(name)}; ${known}.`);
}

export function outside(shown: string): StoreError {
  return refused(
    `${shown} may not be read: it is not below a folder of MDS_BACKFILL_DIRS, or is a link that leads out.`,
  );
}

export function refused(message: string, cause?: unknown): StoreError {
  return new StoreError("backfill_refused", message, { cause });
}
