import { describe, it } from "vitest";
import { describeEngine } from "../support/engine-conformance.ts";

const isThere = process.env["TEST_TIMESCALE_URL"] !== undefined;

describe.skipIf(!isThere)("TimescaleDB", () => {
  describeEngine("timescale");
});

describe.skipIf(isThere)("TimescaleDB", () => {
  it.skip("NOTHING RAN ON IT: set TEST_TIMESCALE_URL to a superuser's URL of a server with TimescaleDB", () => {});
});
