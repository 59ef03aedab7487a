import { describe, expect, it } from "vitest";
import { bars } from "../bars.ts";
import { datasetJsonSchema } from "./json-schema.ts";

describe("datasetJsonSchema", () => {
  it("describes a bar as files hold it", () => {
    const schema = datasetJsonSchema(bars);
    expect(schema).toMatchObject({
      type: "object",
      required: [
        "vendor",
        "symbol",
        "timeframe",
        "ts",
        "open_price",
        "high_price",
        "low_price",
        "close_price",
        "volume",
      ],
      additionalProperties: false,
      properties: {
        symbol: { type: "string", minLength: 1, maxLength: 64 },
        timeframe: { enum: expect.arrayContaining(["1m", "1mo"]) },
        ts: { type: "string", format: "date-time" },
        volume: { type: "number", minimum: 0 },
        trade_count: { type: ["integer", "null"], minimum: 0 },
        vwap: { type: ["number", "null"] },
      },
    });
  });
});
