import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { migrateUp } from "../../src/database/migrator.ts";
import { bars } from "../../src/datasets/bars.ts";
import { columnsOf, type DatasetShape } from "../../src/datasets/dataset.ts";
import { hasColumnForm } from "../../src/datasets/derive/column-form.ts";
import { datasetSql } from "../../src/datasets/derive/sql.ts";
import { insertFunctionSql } from "../../src/datasets/derive/sql-insert.ts";
import { readColumnsFunctionSql } from "../../src/datasets/derive/sql-read-columns.ts";
import { upsertFunctionSql } from "../../src/datasets/derive/sql-upsert.ts";
import { fundamentals } from "../../src/datasets/fundamentals.ts";
import { news } from "../../src/datasets/news.ts";
import { options } from "../../src/datasets/options.ts";
import { signals } from "../../src/datasets/signals.ts";
import { describeDatabase } from "../support/describe-database.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

/** The migration that made each dataset, in their order. */
const DATASETS: Readonly<Record<string, DatasetShape>> = {
  "0002-bars.sql": bars,
  "0003-options.sql": options,
  "0004-fundamentals.sql": fundamentals,
  "0005-news.sql": news,
  "0006-signals.sql": signals,
};
/** Migrations that no definition speaks of. */
const OTHERS = [
  "0007-freshness.sql",
  "0008-runs.sql",
  "0009-policies.sql",
  "0010-aggregates.sql",
  "0011-jobs.sql",
  "0012-access.sql",
  "0013-administration.sql",
  "0014-insert-absent.sql",
  "0015-drift.sql",
  "0016-timescale.sql",
  "0017-latest-bars.sql",
  "0018-read-columns.sql",
];

async function upOf(file: string): Promise<string> {
  const text = await readFile(new URL(`../../migrations/${file}`, import.meta.url), "utf8");
  return /-- migrate:up\n([\s\S]*)-- migrate:down/.exec(text)![1]!;
}

let migrated: TestDatabase;
let derived: TestDatabase;

beforeAll(async () => {
  migrated = await createTestDatabase();
  derived = await createTestDatabase({ empty: true });
});

afterAll(async () => {
  await Promise.all([migrated.drop(), derived.drop()]);
});

describe("R1 one source of tables, views and functions", () => {
  it("the migrated database equals what the definitions say", async () => {
    await migrateUp({ adminUrl: derived.adminUrl, serviceUrl: derived.url }, { to: 1 });
    await derived.sql("set role mds_owner");
    for (const [file, dataset] of Object.entries(DATASETS)) {
      await derived.sql("insert into store.settings (name, value) values ($1, $2)", [
        `partition_width.${dataset.name}`,
        dataset.partitionWidth,
      ]);
      await derived.sql(datasetSql(dataset));
      const text = await readFile(new URL(`../../migrations/${file}`, import.meta.url), "utf8");
      const own = /-- \w+ only, from here on\.[\s\S]*(?=-- migrate:down)/.exec(text);
      if (own !== null) await derived.sql(own[0]);
    }
    for (const file of OTHERS) {
      await derived.sql(await upOf(file));
    }
    // A later migration brought the upsert of bars in the form that it has today.
    await derived.sql(upsertFunctionSql(bars).replace("create function", "create or replace function"));
    if (inject("engine") === "timescale") await derived.sql(await upOf("0016-timescale.timescale.sql"));
    await derived.sql("reset role");
    expect(await describeDatabase(derived)).toEqual(await describeDatabase(migrated));
  });

  it.each(Object.values(DATASETS))("the function that inserts $name is what the definition says", async (dataset) => {
    const text = await readFile(new URL("../../migrations/0014-insert-absent.sql", import.meta.url), "utf8");
    expect(text).toContain(insertFunctionSql(dataset));
  });

  it.each(Object.values(DATASETS).filter(hasColumnForm))(
    "the function that reads columns of $name is what the definition says",
    async (dataset) => {
      const text = await readFile(new URL("../../migrations/0018-read-columns.sql", import.meta.url), "utf8");
      expect(text).toContain(readColumnsFunctionSql(dataset));
    },
  );

  it.each(Object.values(DATASETS))("the view of $name has the definition's columns in its order", async (dataset) => {
    const rows = await migrated.sql<{ name: string }>(
      `select column_name as name from information_schema.columns
       where table_schema = 'mds' and table_name = $1 order by ordinal_position`,
      [dataset.view ?? dataset.name],
    );
    expect(rows.map(({ name }) => name)).toEqual(columnsOf(dataset).map(({ name }) => name));
  });
});

describe("the database's own checks", () => {
  const insert = (values: string) =>
    migrated.sql(`insert into store.bars_data (series_id, ts, open_price, high_price, low_price, close_price, volume, trade_count, vwap)
      values (1, '2024-01-02Z', ${values})`);

  beforeAll(async () => {
    if (inject("engine") === "timescale") return; // whose chunk is made with the first row
    await migrated.sql(
      "create table store.bars_data_check partition of store.bars_data for values from ('2024-01-01Z') to ('2024-02-01Z')",
    );
  });

  it.each([
    ["NaN", "'NaN', 'NaN', 'NaN', 'NaN', 1, null, null"],
    ["infinity", "1, 'infinity', 1, 1, 1, null, null"],
    ["high below low", "1, 0.5, 1, 1, 1, null, null"],
    ["close above high", "1, 2, 1, 3, 1, null, null"],
    ["negative volume", "1, 1, 1, 1, -1, null, null"],
    ["endless volume", "1, 1, 1, 1, 'infinity', null, null"],
    ["negative trade count", "1, 1, 1, 1, 1, -1, null"],
    ["vwap that is no number", "1, 1, 1, 1, 1, null, 'NaN'"],
    ["no open", "null, 1, 1, 1, 1, null, null"],
  ])("refuse %s", async (_, values) => {
    await expect(insert(values)).rejects.toMatchObject({ code: expect.stringMatching(/^235(02|14)$/) });
  });

  it("take a possible bar", async () => {
    await insert("1, 2, 0.5, 1.5, 0, 0, -1");
  });
});
