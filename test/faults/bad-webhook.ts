/** An endpoint for feedback that hangs, is slow, fails, and now and then takes an event. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface BadWebhook {
  readonly url: string;
  close(): void;
}

const SLOW_MS = 80;

export async function startBadWebhook(): Promise<BadWebhook> {
  let calls = 0;
  const server = createServer((request, response) => {
    request.resume();
    const turn = calls++ % 4;
    if (turn === 0) return; // It never answers.
    if (turn === 1) setTimeout(() => response.end(), SLOW_MS);
    else response.writeHead(turn === 2 ? 500 : 200).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
