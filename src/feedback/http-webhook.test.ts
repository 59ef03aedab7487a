import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Registry } from "prom-client";
import { afterEach, describe, expect, it } from "vitest";
import { loadConfig } from "../config/load.ts";
import { IngestMetrics } from "../telemetry/ingest-metrics.ts";
import type { Feedback } from "./feedback-bus.ts";
import { HttpWebhook } from "./http-webhook.ts";
import { openFeedback } from "./open-feedback.ts";

const event: Feedback = {
  coordinator_id: "c",
  queue_size: 80,
  capacity: 100,
  level: "hard",
  source: "store",
  ts: 1.5,
  reason: "queue_high_watermark",
  utilization: 0.8,
};
let server: Server | undefined;

async function serve(answer: (request: IncomingMessage, response: ServerResponse, body: string) => void) {
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => answer(request, response, body));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=hush`;
}

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

const webhook = (endpoint: string, options = {}) =>
  new HttpWebhook({ endpoint, timeoutMs: 2_000, maxRetries: 3, backoffMs: 1, ...options });

describe("HttpWebhook", () => {
  it("posts the event as one JSON object, the store's own fields included", async () => {
    const bodies: unknown[] = [];
    const endpoint = await serve((request, response, body) => {
      bodies.push([request.method, request.headers["content-type"], JSON.parse(body)]);
      response.end("thanks");
    });
    await webhook(endpoint).deliver(event);
    expect(bodies).toEqual([["POST", "application/json", event]]);
  });

  it.each([
    { statuses: [503, 429, 200], tries: 3, fails: false },
    { statuses: [500, 500, 500, 500, 500], tries: 4, fails: true },
    { statuses: [404], tries: 1, fails: true },
    { statuses: [302], tries: 4, fails: true },
  ])("after $statuses it has tried $tries times", async ({ statuses, tries, fails }) => {
    let asked = 0;
    const endpoint = await serve((_, response) => {
      response.writeHead(statuses[asked++] ?? statuses.at(-1)!, { location: "http://127.0.0.1:1/" }).end();
    });
    const delivered = webhook(endpoint).deliver(event);
    if (fails) await expect(delivered).rejects.toThrow(/^(?!.*hush)/);
    else await delivered;
    expect(asked).toBe(tries);
  });

  it("gives up on an endpoint that does not answer in time, and at once when it is closed", async () => {
    const endpoint = await serve(() => {});
    await expect(webhook(endpoint, { timeoutMs: 20, maxRetries: 1 }).deliver(event)).rejects.toMatchObject({
      code: "service_unreachable",
    });
    const closing = webhook(endpoint, { timeoutMs: 60_000 });
    const delivered = expect(closing.deliver(event)).rejects.toThrow();
    closing.close();
    await delivered;
  });
});

describe("openFeedback", () => {
  const config = (env: Record<string, string>) => loadConfig({ env }).values;

  it("R26 sends to the endpoint of the settings, beside everything else, and counts what became of it", async () => {
    let asked = 0;
    const endpoint = await serve((_, response) => void response.writeHead(++asked === 1 ? 200 : 404).end());
    const registry = new Registry();
    const { bus, close } = openFeedback(
      config({ MDS_FB_ENABLE_HTTP_BROADCAST: "true", MDS_FB_HTTP_ENDPOINT: endpoint }),
      { metrics: new IngestMetrics(registry) },
    );
    bus!.publish(event);
    bus!.publish(event);
    expect(asked).toBe(0);
    await bus!.drained();
    const text = await registry.metrics();
    expect(text).toContain('mds_feedback_deliveries_total{subscriber="http",outcome="delivered"} 1');
    expect(text).toContain('mds_feedback_deliveries_total{subscriber="http",outcome="failed"} 1');
    close();
  });

  it("is off when the settings say so, and refuses to send nowhere", () => {
    expect(openFeedback(config({ MDS_FB_ENABLE_FEEDBACK: "false" })).bus).toBeUndefined();
    expect(openFeedback(config({})).bus).toBeDefined();
    expect(() => openFeedback(config({ MDS_FB_ENABLE_HTTP_BROADCAST: "1" }))).toThrow(/MDS_FB_HTTP_ENDPOINT/);
  });
});
