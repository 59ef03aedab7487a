import { describe, expect, it } from "vitest";
import { nearestName } from "./nearest-name.ts";

describe("nearestName", () => {
  it.each([
    ["MDS_DATADIR", "MDS_DATA_DIR"],
    ["mds_tenant", "MDS_TENANT_ID"],
    ["MDS_DNS", "MDS_DSN"],
  ])("of %s is %s", (name, expected) => {
    expect(nearestName(name, ["MDS_TENANT_ID", "MDS_DATA_DIR", "MDS_DSN"])).toBe(expected);
  });

  it("of nothing known is nothing", () => {
    expect(nearestName("X", [])).toBeUndefined();
  });
});
