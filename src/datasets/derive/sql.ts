/**
 * A dataset's SQL on plain PostgreSQL: series and data tables, the tenant's view, and the functions through which the
 * client works. Migrations carry this text, so that a released one never changes; a test compares the migrated
 * database with what the definitions say today. Runs as mds_owner; see docs/decisions/upsert.md for the upsert's form.
 */
import type { DatasetShape, ValueColumn } from "../dataset.ts";
import { TIMEFRAMES } from "../values/timeframe.ts";
import { functionGrantsSql } from "./sql-grants.ts";
import { upsertFunctionSql } from "./sql-upsert.ts";

const lines = (items: readonly string[], separator = ",\n  "): string => items.join(separator);

/** Tables, view, functions and grants of one dataset, in the order in which they can be created. */
export function datasetSql(dataset: DatasetShape): string {
  return [
    seriesTableSql(dataset),
    dataTableSql(dataset),
    viewSql(dataset),
    ensureSeriesSql(dataset),
    findSeriesSql(dataset),
    upsertFunctionSql(dataset),
    readFunctionSql(dataset),
    functionGrantsSql(dataset),
  ].join("\n");
}

function dimensionCheck(dataset: DatasetShape): string[] {
  return dataset.dimensions.map(({ name, type }) =>
    type === "timeframe"
      ? `constraint ${name}_known check (${name} in (${TIMEFRAMES.map((t) => `'${t}'`).join(", ")}))`
      : `constraint ${name}_text check (char_length(${name}) between 1 and 64 and ${name} = btrim(${name}) and ${name} !~ '[[:cntrl:]]')`,
  );
}

function seriesTableSql(dataset: DatasetShape): string {
  const names = dataset.dimensions.map((d) => d.name);
  return `create table store.${dataset.name}_series (
  ${lines([
    "series_id int4 generated always as identity primary key",
    "tenant_id uuid not null references store.tenants (id)",
    ...names.map((name) => `${name} text not null`),
    `unique (tenant_id, ${names.join(", ")})`,
    ...dimensionCheck(dataset),
  ])}
);
`;
}

function valueCheck(column: ValueColumn): string {
  const { name, type, min } = column;
  const low = min === undefined ? `${name} > '-infinity'` : `${name} >= ${min}`;
  if (type === "float8") return `constraint ${name}_range check (${low} and ${name} < 'infinity')`;
  return min === undefined ? "" : `constraint ${name}_range check (${low})`;
}

function dataTableSql(dataset: DatasetShape): string {
  const { name, time, values, rules } = dataset;
  return `create table store.${name}_data (
  ${lines([
    "series_id int4 not null",
    `${time.name} timestamptz not null`,
    ...values.map((v) => `${v.name} ${v.type}${v.required ? " not null" : ""}`),
    `primary key (series_id, ${time.name})`,
    ...values.map(valueCheck).filter((check) => check !== ""),
    ...rules.map((rule) => `constraint ${rule.name} check (${rule.sql})`),
  ])}
) partition by range (${time.name});
`;
}

function viewSql(dataset: DatasetShape): string {
  const { name, dimensions, time, values } = dataset;
  const columns = [...dimensions.map((d) => `s.${d.name}`), `d.${time.name}`, ...values.map((v) => `d.${v.name}`)];
  return `create view mds.${name} with (security_barrier) as
select ${columns.join(", ")}
from store.${name}_series s
join store.${name}_data d on d.series_id = s.series_id
where s.tenant_id = (select store.current_tenant());
`;
}

function ensureSeriesSql(dataset: DatasetShape): string {
  const { name } = dataset;
  const dims = dataset.dimensions.map((d) => d.name);
  const plural = dims.map((d) => `${d}s`);
  const wanted = `unnest(${plural.map((p) => `ensure_${name}_series.${p}`).join(", ")})`;
  const same = dims.map((d) => `s.${d} = w.${d}`).join(" and ");
  return `-- Answers with the series' ids in the order asked; makes those that are missing.
-- An anti-join first: "on conflict do nothing" alone would burn an id for every known series.
create function mds.ensure_${name}_series(${plural.map((p) => `${p} text[]`).join(", ")}) returns int4[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  tenant uuid := store.require_tenant();
begin
  insert into store.${name}_series (tenant_id, ${dims.join(", ")})
  select distinct tenant, ${dims.map((d) => `w.${d}`).join(", ")}
  from ${wanted} as w (${dims.join(", ")})
  where not exists (select from store.${name}_series s where s.tenant_id = tenant and ${same})
  order by ${dims.map((d) => `w.${d}`).join(", ")}
  on conflict do nothing;
  return (
    select array_agg(s.series_id order by w.position)
    from ${wanted} with ordinality as w (${dims.join(", ")}, position)
    join store.${name}_series s on s.tenant_id = tenant and ${same}
  );
end $$;
`;
}

function findSeriesSql(dataset: DatasetShape): string {
  const { name } = dataset;
  const dims = dataset.dimensions.map((d) => d.name);
  const matches = dims.map((d) => {
    const given = `find_${name}_series.${d}s`;
    return `(${given} is null or s.${d} = any (${given})
      or (ignore_case and lower(s.${d}) = any (select lower(g) from unnest(${given}) as g)))`;
  });
  return `-- The tenant's series; a null array means any.
create function mds.find_${name}_series(
  ${dims.map((d) => `${d}s text[]`).join(", ")}, ignore_case boolean, max_series int4
)
returns table (series_id int4, ${dims.map((d) => `${d} text`).join(", ")})
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select s.series_id, ${dims.map((d) => `s.${d}`).join(", ")}
  from store.${name}_series s
  where s.tenant_id = (select store.current_tenant())
    and ${matches.join("\n    and ")}
  order by ${dims.map((d) => `s.${d} collate "C"`).join(", ")}
  limit max_series
$$;
`;
}

function readFunctionSql(dataset: DatasetShape): string {
  const { name, time, values } = dataset;
  const columns = [time.name, ...values.map((v) => v.name)].map((c) => `d.${c}`).join(", ");
  const page = (order: "asc" | "desc"): string => `return query
        select d.series_id, ${columns} from store.${name}_data d
        where d.series_id = series and d.${time.name} >= window_start and d.${time.name} < window_end
        order by d.${time.name} ${order} limit wanted;`;
  return `-- The first rows of a half-open window, series by series in the order given, each in time order, at most max_rows.
-- A foreign id gives no rows. A loop, because a join over all series would sort every window before its first row. By
-- the index only: a kept plan may stem from the time when a partition was empty.
create function mds.read_${name}(
  series_ids int4[], window_start timestamptz, window_end timestamptz, newest_first boolean, max_rows int4
)
returns table (
  series_id int4, ${time.name} timestamptz, ${values.map((v) => `${v.name} ${v.type}`).join(", ")}
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  series int4;
  wanted int4 := max_rows;
  found_rows int4;
begin
  for series in
    select s.series_id from unnest(series_ids) with ordinality as w (series_id, position)
    join store.${name}_series s on s.series_id = w.series_id and s.tenant_id = tenant
    order by w.position
  loop
    if newest_first then
      ${page("desc")}
    else
      ${page("asc")}
    end if;
    get diagnostics found_rows = row_count;
    wanted := wanted - found_rows;
    exit when wanted <= 0;
  end loop;
end $$;
`;
}
