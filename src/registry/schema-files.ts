/** How a schema is kept in a file. */
import type { JsonSchema } from "../contracts/schema-hash.ts";
import { StoreError } from "../errors/store-error.ts";

/** The text of a schema's file. */
export function schemaFileText(schema: JsonSchema): string {
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

/**
 * The name of a schema's file in its track's folder.
 * @throws StoreError `schema_invalid` for a name that could lead out of the folder.
 */
export function schemaFileName(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) {
    throw new StoreError("schema_invalid", `${JSON.stringify(name)} is no name of a schema.`);
  }
  return `${name}.schema.json`;
}
