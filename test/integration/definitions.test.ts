import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migrateUp } from "../../src/database/migrator.ts";
import { bars } from "../../src/datasets/bars.ts";
import { columnsOf } from "../../src/datasets/dataset.ts";
import { datasetSql } from "../../src/datasets/derive/sql.ts";
import { describeDatabase } from "../support/describe-database.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

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
    const bars0002 = await readFile(new URL("../../migrations/0002-bars.sql", import.meta.url), "utf8");
    const rest = /-- Bars only, from here on\.[\s\S]*(?=-- migrate:down)/.exec(bars0002)![0];
    await migrateUp({ adminUrl: derived.adminUrl, serviceUrl: derived.url }, { to: 1 });
    await derived.sql("set role mds_owner");
    await derived.sql("insert into store.settings (name, value) values ('partition_width.bars', 'month')");
    await derived.sql(datasetSql(bars));
    await derived.sql(rest);
    await derived.sql("reset role");
    expect(await describeDatabase(derived)).toEqual(await describeDatabase(migrated));
  });

  it("the view has the definition's columns in its order", async () => {
    const rows = await migrated.sql<{ name: string }>(
      `select column_name as name from information_schema.columns
       where table_schema = 'mds' and table_name = 'bars' order by ordinal_position`,
    );
    expect(rows.map(({ name }) => name)).toEqual(columnsOf(bars).map(({ name }) => name));
  });
});

describe("the database's own checks", () => {
  const insert = (values: string) =>
    migrated.sql(`insert into store.bars_data (series_id, ts, open_price, high_price, low_price, close_price, volume, trade_count, vwap)
      values (1, '2024-01-02Z', ${values})`);

  beforeAll(async () => {
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
