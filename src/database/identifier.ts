/** The one function through which a name gets into SQL text. */
import pg from "pg";

/** Quotes a role's, schema's or table's name. */
export function identifier(name: string): string {
  return pg.escapeIdentifier(name);
}
