/**
 * Checks the database URLs that programs give: what the driver would read as another server than was meant is refused
 * before anything connects. Shows nothing of the URL, which may hold a password.
 */
import { readDatabaseUrl } from "../config/database-url.ts";
import { StoreError } from "../errors/store-error.ts";

const SCHEME = /^postgres(ql)?(\+\w+)?:\/\//;

/** @throws StoreError `usage`, which names the option, where the value is no PostgreSQL URL. */
export function requirePostgresUrl(name: string, url: unknown): void {
  if (typeof url === "string" && SCHEME.test(url)) {
    // A login without a host belongs to a socket in the `host` parameter: the driver reads that, a URL's grammar does not.
    if (readDatabaseUrl(url.replace(SCHEME, "postgres://").replace("@/", "@localhost/")) !== undefined) return;
  }
  throw new StoreError(
    "usage",
    `${name} is no PostgreSQL URL; it must be postgres://user:password@host:5432/database, special characters percent-encoded.`,
  );
}
