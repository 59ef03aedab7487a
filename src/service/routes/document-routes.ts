/** `/openapi.json` and `/docs`: made of the endpoints and their schemas when somebody first asks, and then kept. */
import type { FastifyInstance } from "fastify";
import { ENDPOINTS } from "../../control/endpoints.ts";
import type { JobQueue } from "../../jobs/job-queue.ts";

/** Adds the routes. */
export function addDocumentRoutes(
  app: FastifyInstance,
  { jobs, version }: { readonly jobs: JobQueue | undefined; readonly version: string },
): void {
  let document: Promise<string> | undefined;
  let page: Promise<{ readonly html: string; readonly policy: string }> | undefined;
  const openApi = async () => {
    const { openApiDocument } = await import("../open-api.ts");
    return openApiDocument({ version, definitions: [...(jobs?.definitions.values() ?? [])] });
  };
  app.get(ENDPOINTS.openApi.path, async (_request, reply) => {
    document ??= openApi().then((made) => JSON.stringify(made));
    return reply.header("content-type", "application/json; charset=utf-8").send(await document);
  });
  app.get(ENDPOINTS.docs.path, async (_request, reply) => {
    page ??= Promise.all([openApi(), import("../docs-page.ts")]).then(([made, { docsPage }]) => docsPage(made));
    const { html, policy } = await page;
    return reply
      .header("content-type", "text/html; charset=utf-8")
      .header("content-security-policy", policy)
      .header("x-content-type-options", "nosniff")
      .header("referrer-policy", "no-referrer")
      .send(html);
  });
}
