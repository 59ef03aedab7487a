import { expect, it } from "vitest";
import { openStore, type StoreOptions } from "./open-store.ts";

it.each([{}, { url: "" }, { url: "localhost/hunter2" }, { url: "https://u:hunter2@host/db" }])(
  "refuses %j before it connects anywhere, and shows nothing of it",
  async (options) => {
    const refused = openStore(options as StoreOptions);
    await expect(refused).rejects.toMatchObject({
      code: "usage",
      message: "url is no PostgreSQL URL; it must be postgres://user:password@host:5432/database.",
    });
  },
);

it.each([0, 1.5, 101])("refuses %d connections", async (maxConnections) => {
  await expect(openStore({ url: "postgres://host/db", maxConnections })).rejects.toMatchObject({ code: "usage" });
});
