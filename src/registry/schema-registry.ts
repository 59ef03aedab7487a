/** The schema registry as the store sees it. There is one adapter, over HTTP; another kind of registry needs only this. */
import type { JsonSchema } from "../contracts/schema-hash.ts";
import type { PublishCompatibility } from "./schema-change.ts";

/** A schema as a registry has it. */
export interface SchemaDocument {
  readonly name: string;
  readonly track: string;
  /** Of the schema in the registry. */
  readonly version: string;
  readonly content: JsonSchema;
}

export interface PublishResult {
  readonly version: string;
  /** False when the registry had just this already. */
  readonly created: boolean;
}

/** Every call has a deadline and throws `registry_unavailable` or `registry_refused`. */
export interface SchemaRegistry {
  /** Answers while the registry does. */
  check(signal?: AbortSignal): Promise<void>;
  /** The newest version; undefined where there is none of this name. */
  fetch(track: string, name: string, signal?: AbortSignal): Promise<SchemaDocument | undefined>;
  /** Names of a track's schemas. */
  names(track: string, signal?: AbortSignal): Promise<readonly string[]>;
  /** @throws StoreError `schema_incompatible` with the reasons in `details.reasons`; `schema_invalid`. */
  publish(
    schema: Pick<SchemaDocument, "name" | "track" | "content">,
    compatibility: PublishCompatibility,
    signal?: AbortSignal,
  ): Promise<PublishResult>;
}
