/** An error on every HTTP wire: RFC 9457 problem details with a stable code. Unknown fields are ignored by readers. */
import { z } from "zod";

/** Reads an answer of type `application/problem+json`. */
export const problem = z
  .object({
    type: z.string().describe("Always about:blank; `code` says more."),
    title: z.string().describe("The status in words."),
    status: z.number().int(),
    code: z.string().describe("Stable, for programs."),
    detail: z.string().describe("One sentence for people."),
    details: z
      .record(z.string(), z.unknown())
      .optional()
      .describe("Facts for programs, such as `errors`: the path and the fault of each wrong field."),
  })
  .meta({ title: "store.Problem" });
