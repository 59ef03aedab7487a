/** What `POST /v1/{dataset}` takes in its path and says in every answer. */
import { z } from "zod";
import { problem } from "../contracts/problem.ts";

export const ingestPath = z.object({
  dataset: z.enum(["bars", "options", "fundamentals", "news", "signals"]).describe("Where the rows go."),
});

export const acceptedRows = z.object({
  accepted_lines: z
    .number()
    .int()
    .min(0)
    .describe(
      "All rows up to this line (of an array: element) are durable or rejected; go on behind it. From 1; 0 for none.",
    ),
  rejected: z
    .object({
      count: z.number().int().min(0),
      first: z
        .array(z.object({ line: z.number().int(), code: z.string(), reason: z.string() }))
        .describe("The first hundred."),
    })
    .describe("Rows up to that line that cannot be stored."),
});

export const ingestProblem = problem.extend(acceptedRows.shape).meta({ title: "store.IngestProblem" });
