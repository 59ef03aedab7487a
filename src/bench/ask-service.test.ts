import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { askService } from "./ask-service.ts";

it("ends with the benchmark while the service is silent", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const ending = new AbortController();
  const asked = askService(`http://127.0.0.1:${(silent.address() as AddressInfo).port}/`, ending.signal);
  await once(silent, "request");
  ending.abort();
  await expect(asked).rejects.toMatchObject({ code: "aborted", message: "The benchmark was stopped." });
  silent.closeAllConnections();
  silent.close();
});

it("says that nobody answers", async () => {
  const asked = askService("http://127.0.0.1:1/", new AbortController().signal);
  await expect(asked).rejects.toMatchObject({ code: "service_unreachable" });
});
