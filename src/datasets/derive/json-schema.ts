/**
 * A dataset's rows as JSON Schema (draft 2020-12): the form that they have in NDJSON files and, later, over HTTP.
 */
import type { DatasetShape, DimensionColumn, ValueColumn } from "../dataset.ts";
import { MAX_TEXT_CHARACTERS } from "../values/text.ts";
import { TIMEFRAMES } from "../values/timeframe.ts";

/** The schema of one whole row. */
export function datasetJsonSchema(dataset: DatasetShape): Record<string, unknown> {
  const { name, description, dimensions, time, values } = dataset;
  const required = [...dimensions, time, ...values.filter((value) => value.required)];
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: `market-data-store/${name}`,
    title: name,
    description,
    type: "object",
    properties: Object.fromEntries([
      ...dimensions.map((dimension) => [dimension.name, dimensionSchema(dimension)]),
      [time.name, { type: "string", format: "date-time", description: time.description }],
      ...values.map((value) => [value.name, valueSchema(value)]),
    ]),
    required: required.map((column) => column.name),
    additionalProperties: false,
  };
}

function dimensionSchema({ type, description }: DimensionColumn): Record<string, unknown> {
  if (type === "timeframe") return { enum: TIMEFRAMES, description };
  return { type: "string", minLength: 1, maxLength: MAX_TEXT_CHARACTERS, description };
}

function valueSchema({ type, required, min, unit, description }: ValueColumn): Record<string, unknown> {
  const json = type === "int8" ? "integer" : "number";
  return {
    type: required ? json : [json, "null"],
    ...(min !== undefined && { minimum: min }),
    description: `${description} Unit: ${unit}.`,
  };
}
