/** Decides which of the database settings a connection uses. Undefined means the embedded database. */
import type { LoadedConfig } from "./load.ts";

/** Who connects: the service, or the command and the library; `admin` for migrations. */
export interface DatabaseUse {
  readonly as: "service" | "client";
  readonly admin?: boolean;
}

/**
 * The URL (`postgresql://…`) for this use. A DSN given as a flag always wins; else migrations take ADMIN_DATABASE_URL;
 * else the service takes DATABASE_URL before MDS_DSN, and everybody else MDS_DSN before DATABASE_URL.
 */
export function chooseDatabaseUrl(config: LoadedConfig, use: DatabaseUse): string | undefined {
  const { dsn, databaseUrl, adminDatabaseUrl } = config.values;
  if (config.sources.dsn === "flag") return dsn;
  if (use.admin && adminDatabaseUrl !== undefined) return adminDatabaseUrl;
  return use.as === "service" ? (databaseUrl ?? dsn) : (dsn ?? databaseUrl);
}
