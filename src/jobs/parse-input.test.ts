import { expect, it } from "vitest";
import { builtInJobs } from "./built-in-jobs.ts";
import { schemaOf } from "./define-job.ts";
import { parseInput } from "./parse-input.ts";

const jobs = builtInJobs({ dirs: [], hosts: [], credentials: {} } as never);

it("takes defaults that are written out for what the schema makes of nothing", async () => {
  const written = jobs.filter(({ defaults }) => defaults !== undefined);
  // A schedule then loads no schema.
  expect(written).toEqual(jobs.filter(({ schedule }) => schedule !== undefined));
  for (const job of written) {
    expect(job.defaults).toEqual((await schemaOf(job)).parse({}));
    expect(await parseInput(job, {})).toEqual(job.defaults);
    await expect(parseInput(job, { surprise: 1 })).rejects.toMatchObject({ code: "body_invalid" });
    await expect(parseInput(job, [])).rejects.toMatchObject({ code: "body_invalid" });
  }
});
