import { expect, it } from "vitest";
import { openStore, type StoreOptions } from "./open-store.ts";
import { requirePostgresUrl } from "./postgres-url.ts";
import { openTrustedLoad } from "./trusted-load.ts";

const REFUSED = [
  undefined,
  null,
  5,
  "",
  "localhost/hunter2",
  "https://u:hunter2@host/db",
  "postgres://u:hunter2/x@host/db",
  "postgres://u:12#hunter2@host/db",
  "postgres://u:hunter2@host:99999/db",
];
const messageFor = (name: string) =>
  `${name} is no PostgreSQL URL; it must be postgres://user:password@host:5432/database, special characters percent-encoded.`;

it.each(REFUSED)("%j is refused before anything connects, and nothing of it is shown", async (url) => {
  await expect(openStore({ url } as StoreOptions)).rejects.toMatchObject({ code: "usage", message: messageFor("url") });
});

it("a trusted load says which of its two URLs is wrong", async () => {
  const good = "postgres://u:p@127.0.0.1:1/db";
  const first = openTrustedLoad({ url: "localhost", adminUrl: good });
  await expect(first).rejects.toMatchObject({ code: "usage", message: messageFor("url") });
  const second = openTrustedLoad({ url: good, adminUrl: "postgres://u:hunter2/x@host/db" });
  await expect(second).rejects.toMatchObject({ code: "usage", message: messageFor("adminUrl") });
});

it.each([
  "postgres://u:p@host/db",
  "postgresql+psycopg://u:p@host:5432/db",
  "postgresql:///db?host=/run/postgresql",
  "postgres://u:p@/db?host=/run/postgresql",
])("%s is accepted", (url) => {
  expect(() => requirePostgresUrl("url", url)).not.toThrow();
});
