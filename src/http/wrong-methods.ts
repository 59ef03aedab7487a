/**
 * Answers a path that exists, asked with a method that it does not have: 405 with `Allow`, before a body is read. The
 * router does not say which paths it has for other methods, and a route for each of these costs megabytes; so paths that
 * no route took are looked at once more here.
 */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { StoreError } from "../errors/store-error.ts";

interface KnownPath {
  /** As the route has it, e.g. `/jobs/:id`. */
  readonly pattern: string;
  readonly matches: RegExp;
  readonly methods: Set<string>;
}

/** Patterns of paths that were asked with a wrong method; a path that no route has is not in here. */
const patterns = new WeakMap<FastifyRequest, string>();

/** Answers wrong methods of the routes that are added from now on. */
export function answerWrongMethods(app: FastifyInstance): void {
  const known = new Map<string, KnownPath>();
  app.addHook("onRoute", ({ url, method }) => {
    const one = known.get(url) ?? { pattern: url, matches: patternRegExp(url), methods: new Set() };
    for (const name of [method].flat()) one.methods.add(name);
    known.set(url, one);
  });
  app.addHook("onRequest", (request, reply, done) => {
    if (!request.is404) return done();
    const path = request.url.split("?", 1)[0]!;
    const found = [...known.values()].filter(({ matches }) => matches.test(path));
    if (found.length === 0) return done();
    patterns.set(request, found[0]!.pattern);
    const allowed = [...new Set(found.flatMap(({ methods }) => [...methods]))].sort().join(", ");
    reply.header("allow", allowed);
    return done(new StoreError("method_not_allowed", `${request.method} is not allowed here. Allowed: ${allowed}.`));
  });
}

/** The pattern of a path that was asked with a wrong method; undefined for any other request. */
export function wrongMethodPattern(request: FastifyRequest): string | undefined {
  return patterns.get(request);
}

function patternRegExp(pattern: string): RegExp {
  const parts = pattern
    .split("/")
    .map((part) => (part.startsWith(":") ? "[^/]+" : part.replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&")));
  return new RegExp(`^${parts.join("/")}$`);
}
