import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { finished, startProgram } from "../support/mds-command.ts";
import { redisOrWarning, startRedis } from "../support/redis-server.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));
/** What each prints on a database of its own; the demo has a test file of its own. */
const OUTPUTS: Readonly<Record<string, string>> = {
  "write-and-read.ts": `2 inserted, 0 unchanged; rejected: low_price 180.88 is above the open 182.15, the close 181.91 or the high 180.
2024-01-02T00:00:00Z 185.64
2024-01-03T00:00:00Z 184.25
mean close of 2 bars: 184.945
latest AAPL 184.25
`,
  "heed-feedback.ts": "heard ok, soft, hard\n20000 rows stored, 0 given up\n",
};

const { binary, missing } = await redisOrWarning("the pipeline that heeds feedback");

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.drop();
});

describe("examples", () => {
  it("are all tested", async () => {
    expect((await readdir(EXAMPLES)).sort()).toEqual(["demo.ts", ...Object.keys(OUTPUTS)].sort());
  });

  it.each(Object.entries(OUTPUTS))("%s prints what it says", async (name, output) => {
    const env = { DATABASE_URL: database.url };
    const result = await finished(startProgram(process.execPath, [`${EXAMPLES}${name}`], { env }));
    expect(result).toMatchObject({ code: 0, stdout: output, stderr: "" });
  });

  it.skipIf(binary === undefined)(`heed-feedback.ts does the same over Redis${missing}`, async () => {
    const redis = await startRedis(binary!);
    const env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
    const result = await finished(startProgram(process.execPath, [`${EXAMPLES}heed-feedback.ts`], { env }));
    await redis.stop();
    expect(result).toMatchObject({ code: 0, stdout: OUTPUTS["heed-feedback.ts"], stderr: "" });
  });
});
