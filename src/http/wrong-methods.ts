/** Answers a path that exists, asked with a method that it does not have: 405 with `Allow`, before a body is read. */
import type { FastifyInstance } from "fastify";
import { StoreError } from "../errors/store-error.ts";

/** Notes the methods of every route that is added from now on. Call the result once, after the last one. */
export function answerWrongMethods(app: FastifyInstance): () => void {
  const methodsByPattern = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ url, method }) => {
    const methods = methodsByPattern.get(url) ?? new Set();
    for (const name of [method].flat()) methods.add(name);
    methodsByPattern.set(url, methods);
  });
  return () => {
    for (const [url, methods] of [...methodsByPattern]) addWrongMethods(app, url, [...methods].sort());
  };
}

function addWrongMethods(app: FastifyInstance, url: string, allowed: readonly string[]): void {
  app.route({
    method: app.supportedMethods.filter((method) => !allowed.includes(method)),
    url,
    exposeHeadRoute: false,
    onRequest: (request, reply, done) => {
      reply.header("allow", allowed.join(", "));
      const message = `${request.method} is not allowed here. Allowed: ${allowed.join(", ")}.`;
      done(new StoreError("method_not_allowed", message));
    },
    handler: () => undefined,
  });
}
