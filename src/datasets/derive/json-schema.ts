/**
 * A dataset's rows as JSON Schema (draft 2020-12): the form that they have in NDJSON files and, later, over HTTP.
 */
import { StoreError } from "../../errors/store-error.ts";
import type { DatasetShape, DimensionColumn, ValueColumn } from "../dataset.ts";
import { MAX_TEXT_CHARACTERS } from "../values/text.ts";
import { TIMEFRAMES } from "../values/timeframe.ts";

/** The schema of one whole row. @throws StoreError `usage` for what is no dataset. */
export function datasetJsonSchema(dataset: DatasetShape): Record<string, unknown> {
  if (!Array.isArray(dataset?.dimensions)) {
    throw new StoreError("usage", "datasetJsonSchema takes a dataset, such as DATASETS.bars.");
  }
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
  switch (type) {
    case "text":
      return { type: "string", minLength: 1, maxLength: MAX_TEXT_CHARACTERS, description };
    case "timeframe":
      return { enum: TIMEFRAMES, description };
    case "option_type":
      return { enum: ["C", "P"], description };
    case "date":
      return { type: "string", format: "date", description };
    case "decimal":
      return { type: ["number", "string"], description };
  }
}

function valueSchema(column: ValueColumn): Record<string, unknown> {
  const { type, required, min, max, maxCharacters, unit, description } = column;
  const types = JSON_TYPES[type];
  return {
    type: required && types.length === 1 ? types[0] : [...types, ...(required ? [] : ["null"])],
    ...(min !== undefined && { minimum: min }),
    ...(max !== undefined && { maximum: max }),
    ...(maxCharacters !== undefined && { maxLength: maxCharacters }),
    description: `${description} Unit: ${unit}.`,
  };
}

/** A numeric may have more digits than a reader's floats, so it may come as text. */
const JSON_TYPES: Readonly<Record<ValueColumn["type"], readonly string[]>> = {
  float8: ["number"],
  int8: ["integer"],
  numeric: ["number", "string"],
  text: ["string"],
  json: ["object"],
};
