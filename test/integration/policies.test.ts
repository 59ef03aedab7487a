import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { openStore } from "../../src/client/open-store.ts";
import { policiesInput } from "../../src/control/policies.ts";
import { migrateDown, migrateUp } from "../../src/database/migrator.ts";
import { applyPolicies, asWanted, planPolicies, readPolicies } from "../../src/database/policies.ts";
import { openPool, type Pool } from "../../src/database/pool.ts";
import { bar } from "../support/bars.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const isPlain = inject("engine") === "plain";
let database: TestDatabase;
let pool: Pool;
const scope = () => ({ pool, timeoutMs: 10_000 });

beforeEach(async () => {
  database = await createTestDatabase();
  pool = openPool({ url: database.url, applicationName: "test", maxConnections: 4, connectTimeoutMs: 5_000 });
});

afterEach(async () => {
  await pool.end();
  await database.drop();
});

/** As a file or a request brings it. */
const wanted = (document: unknown) => policiesInput.parse(document);
const apply = (document: unknown) => applyPolicies(scope(), wanted(document));
const plan = (document: unknown) => planPolicies(scope(), wanted(document));
const policyOf = async (dataset: string) => (await readPolicies(scope())).find((one) => one.dataset === dataset);

async function addAggregate(): Promise<void> {
  await database.sql(
    "insert into store.policies (dataset, source, timeframe, partition_width) values ('bars_3m', 'bars', '3m', 'year')",
  );
}

describe("policies", () => {
  it("keep everything by default, in partitions and compressed as is right for the dataset", async () => {
    const policies = await readPolicies(scope());
    const datasets = policies.filter(({ source }) => source === null);
    const [daily, rare, few] = isPlain
      ? [
          ["month", null],
          ["year", null],
          ["year", null],
        ]
      : [
          ["7 days", "30 days"],
          ["30 days", "90 days"],
          ["90 days", null],
        ];
    expect(
      datasets.map(({ dataset, partition_width, compress_after }) => [dataset, partition_width, compress_after]),
    ).toEqual([
      ["bars", ...daily!],
      ["fundamentals", ...few!],
      ["news", ...rare!],
      ["options", ...daily!],
      ["signals", ...rare!],
    ]);
    for (const policy of datasets) expect(policy).toMatchObject({ keep_for: null, enabled: true });
  });

  it("are set as wanted, told field by field, and stay the same when applied twice", async () => {
    const document = { bars: { keep_for: "24 months", compress_after: "P90D" }, signals: { keep_for: "1 years" } };
    const changes = [
      { dataset: "bars", field: "compress_after", before: isPlain ? null : "30 days", after: "90 days" },
      { dataset: "bars", field: "keep_for", before: null, after: "2 years" },
      { dataset: "signals", field: "keep_for", before: null, after: "1 year" },
    ];
    expect(await plan(document)).toEqual(changes);
    expect(await policyOf("bars")).toMatchObject({ keep_for: null });
    expect(await apply(document)).toEqual(changes);
    const stored = await policyOf("bars");
    expect(stored).toMatchObject({ keep_for: "2 years", compress_after: "90 days" });
    expect(await apply(document)).toEqual([]);
    expect(await policyOf("bars")).toEqual(stored);
    expect(await apply(asWanted(await readPolicies(scope())))).toEqual([]);
  });

  it("leave what is omitted, and take null for keeping all", async () => {
    await apply({ bars: { keep_for: "2 years", compress_after: "90 days" } });
    await apply({ bars: { compress_after: null } });
    expect(await policyOf("bars")).toMatchObject({ keep_for: "2 years", compress_after: null });
    await apply({});
    await apply({ bars: {} });
    await apply({ bars: { keep_for: null } });
    expect(await policyOf("bars")).toMatchObject({ keep_for: null });
  });

  it("tell 30 days from a month, though the database finds them equal", async () => {
    await apply({ bars: { keep_for: "60 days" } });
    expect(await apply({ bars: { keep_for: "2 months" } })).toMatchObject([{ before: "60 days", after: "2 months" }]);
    expect(await policyOf("bars")).toMatchObject({ keep_for: "2 months" });
  });

  it("hold for aggregates by timeframe", async () => {
    await addAggregate();
    const changes = await apply({ bars: { aggregates: { "3m": { keep_for: "5 years", enabled: false } } } });
    expect(changes.map(({ dataset, field, after }) => [dataset, field, after])).toEqual([
      ["bars_3m", "keep_for", "5 years"],
      ["bars_3m", "enabled", false],
    ]);
    expect(await policyOf("bars_3m")).toMatchObject({ source: "bars", timeframe: "3m", enabled: false });
    expect(asWanted(await readPolicies(scope()))["bars"]?.aggregates?.["3m"]).toMatchObject({ keep_for: "5 years" });
  });

  it.each([
    [{ bar: {} }, /no dataset "bar"; there are bars, /],
    [{ bars: { aggregates: { "7m": {} } } }, /bars has no aggregate "7m"; it has /],
    [{ news: { aggregates: { "1d": {} } } }, /news has no aggregate "1d"; it has none/],
    isPlain
      ? [{ bars: { keep_for: "5 days" } }, /bars cannot be kept for 5 days in partitions of one month/]
      : [{ bars: { keep_for: "5 days" } }, /bars cannot be kept for 5 days in partitions of 7 days/],
    isPlain
      ? [
          { news: { keep_for: "90 days" } },
          /news cannot be kept for 90 days in partitions of one year.* set partition_width to month/,
        ]
      : [{ news: { partition_width: "month" } }, /partition width of news must be whole days, 999 at most/],
    [
      { bars: { keep_for: "90 days", compress_after: "90 days" } },
      /cannot be compressed after 90 days when it is kept for 90 days/,
    ],
  ])("refuse %j in one sentence", async (document, message) => {
    await expect(plan(document)).rejects.toMatchObject({
      code: "policy_refused",
      message: expect.stringMatching(message),
    });
    await expect(apply(document)).rejects.toMatchObject({ code: "policy_refused" });
    expect(new Set((await readPolicies(scope())).map(({ keep_for }) => keep_for))).toEqual(new Set([null]));
  });

  it.each([
    { bars: { keep_for: "0 days" } },
    { bars: { keep_for: "-1 days" } },
    { bars: { keep_for: 90 } },
    { bars: { keep_for: "90" } },
    { bars: { keep_for: "" } },
    { bars: { keep: "90 days" } },
    { bars: { enabled: false } },
    { bars: { partition_width: "day" } },
    { bars: null },
    [],
    null,
  ])("cannot even be written as %j", (document) => {
    expect(policiesInput.safeParse(document).success).toBe(false);
  });

  it("are set all or none", async () => {
    const document = { bars: { keep_for: "2 years" }, signals: { keep_for: "1 day" } };
    await expect(apply(document)).rejects.toMatchObject({ code: "policy_refused" });
    expect(await policyOf("bars")).toMatchObject({ keep_for: null });
  });

  it("change different fields at the same time without losing any", async () => {
    await Promise.all([apply({ bars: { keep_for: "2 years" } }), apply({ bars: { compress_after: "30 days" } })]);
    expect(await policyOf("bars")).toMatchObject({ keep_for: "2 years", compress_after: "30 days" });
  });

  it.each([
    "{}",
    '{"dataset": "x"}',
    '{"keep_for": "1 hour"}',
    '{"keep_for": "-1 day"}',
    '{"enabled": null}',
    "[]",
    "null",
  ])("have their last guard in the database: %s", async (changes) => {
    const set = database.sql("select mds.set_policy('bars', $1, false) as changed", [changes]);
    if (changes === "{}") expect(await set).toEqual([{ changed: false }]);
    else await expect(set).rejects.toMatchObject({ code: "MD009" });
  });
});

describe.runIf(isPlain)("the width of partitions", () => {
  const write = async (...times: string[]): Promise<void> => {
    const store = await openStore({ url: database.url });
    const { inserted } = await store.bars.upsert(times.map((ts) => bar(0, { ts })));
    await store.close();
    expect(inserted).toBe(times.length);
  };
  const partitions = async (): Promise<string[]> => {
    const rows = await database.sql<{ name: string }>(
      "select partition_name as name from store.partitions('bars') order by 1",
    );
    return rows.map(({ name }) => name);
  };

  it("holds for partitions made from then on, beside wider ones", async () => {
    await apply({ bars: { partition_width: "year" } });
    await write("2020-03-01T00:00:00Z");
    await apply({ bars: { partition_width: "month" } });
    await write("2020-07-01T00:00:00Z", "2021-07-01T00:00:00Z");
    expect(await partitions()).toEqual(["bars_data_2020", "bars_data_2021_07"]);
  });

  it("cannot become wider than what is there", async () => {
    await write("2020-03-01T00:00:00Z");
    const refusal = {
      code: "policy_refused",
      message: expect.stringMatching(/bars cannot become one year.*bars_data_2020_03/),
    };
    await expect(plan({ bars: { partition_width: "year" } })).rejects.toMatchObject(refusal);
    await expect(apply({ bars: { partition_width: "year" } })).rejects.toMatchObject(refusal);
    await write("2020-04-01T00:00:00Z");
    expect(await partitions()).toEqual(["bars_data_2020_03", "bars_data_2020_04"]);
  });

  it("bounds what kept_since says by the partition that holds the time", async () => {
    await apply({ bars: { partition_width: "year" } });
    const start = new Date(Date.now() - 90 * 86_400_000);
    await write(start.toISOString());
    await apply({ bars: { partition_width: "month", keep_for: "90 days" } });
    const [row] = await database.sql<{ year: string }>(
      "select to_char(store.kept_since('bars') at time zone 'UTC', 'YYYY-MM-DD') as year",
    );
    expect(row!.year).toBe(`${start.getUTCFullYear()}-01-01`);
  });

  it("goes back to the settings with the migration", async () => {
    const options = { adminUrl: database.adminUrl, serviceUrl: database.url };
    await migrateDown(options, { to: 8 });
    await write("2020-03-01T00:00:00Z");
    await migrateUp(options);
    await write("2020-03-02T00:00:00Z", "2020-05-02T00:00:00Z");
    expect(await partitions()).toEqual(["bars_data_2020_03", "bars_data_2020_05"]);
  });
});
