/**
 * A short name for a configuration: two runs with the same one did the same work. The text that is hashed is canonical
 * JSON as RFC 8785 has it, so that other languages can make the same name.
 */
import { createHash } from "node:crypto";
import { canonicalJson as canonical } from "../contracts/canonical-json.ts";
import type { JsonObject } from "../datasets/dataset.ts";
import { parseJson } from "../datasets/values/json.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { StoreError } from "../errors/store-error.ts";
import { accepted } from "./window.ts";

const HEX_CHARACTERS = 16;

/**
 * First 16 hexadecimal digits of SHA-256 over canonical JSON. The order of members does not matter, that of arrays
 * does; a member that is undefined counts as absent.
 *
 * @param config - An object of plain JSON values; leave secrets out.
 * @throws StoreError where it holds anything that JSON does not have, such as a Date, NaN or a cycle.
 */
export function configFingerprint(config: JsonObject): string {
  return createHash("sha256").update(canonicalJson(config)).digest("hex").slice(0, HEX_CHARACTERS);
}

/** An object as JSON without white space, its members in the order of their UTF-16 code units. */
export function canonicalJson(config: JsonObject): string {
  if (typeof config === "string") {
    throw new StoreError("json_invalid", `config is ${showValue(config)}, which is text; give the object itself.`);
  }
  accepted(parseJson("config", config));
  return canonical(config);
}
