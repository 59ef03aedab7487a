/**
 * Every schema that the store publishes: its contracts and the rows of its datasets, made from their definitions. The
 * committed files under contracts/ are written from this; a running service reads those files.
 */
import { contractJsonSchemas } from "../contracts/json-schemas.ts";
import type { JsonSchema } from "../contracts/schema-hash.ts";
import { datasetJsonSchema } from "../datasets/derive/json-schema.ts";
import { DATASET_NAMES, datasetNamed } from "../datasets/registry.ts";

/** By name, e.g. `telemetry.HealthStatus` and `store.bars`. */
export function storeSchemas(): Readonly<Record<string, JsonSchema>> {
  const datasets = DATASET_NAMES.map((name) => [`store.${name}`, datasetJsonSchema(datasetNamed(name))]);
  return { ...contractJsonSchemas(), ...(Object.fromEntries(datasets) as Record<string, JsonSchema>) };
}
