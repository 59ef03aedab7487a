/**
 * Names that Node's own HTTP module has. Taken from the module itself, because an import of it reads all that it exports
 * and so loads the client behind `fetch` with it, 5 MB that a server has no use for.
 */
import type * as http from "node:http";

const { METHODS: methods, STATUS_CODES: codes }: typeof http = process.getBuiltinModule("node:http");

/** The methods that Node's parser knows. */
export const METHODS: readonly string[] = methods;
/** The phrase of each status. */
export const STATUS_CODES: Readonly<Record<number, string | undefined>> = codes;
