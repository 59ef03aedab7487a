import { expect, it } from "vitest";
import { openStore } from "./open-store.ts";

it.each([0, 1.5, 101])("refuses %d connections", async (maxConnections) => {
  await expect(openStore({ url: "postgres://host/db", maxConnections })).rejects.toMatchObject({ code: "usage" });
});
