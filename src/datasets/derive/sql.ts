/**
 * A dataset's SQL on plain PostgreSQL: series and data tables, the tenant's view, and the functions through which the
 * client works. Migrations carry this text, so that a released one never changes; a test compares the migrated
 * database with what the definitions say today. Runs as mds_owner; see docs/decisions/upsert.md for the upsert's form.
 */
import type { DatasetShape, DimensionColumn, ValueColumn } from "../dataset.ts";
import { DECIMAL_PRECISION, DECIMAL_SCALE } from "../values/numeric.ts";
import { MAX_TEXT_CHARACTERS } from "../values/text.ts";
import { TIMEFRAMES } from "../values/timeframe.ts";
import { functionGrantsSql } from "./sql-grants.ts";
import { keyColumns, upsertFunctionSql } from "./sql-upsert.ts";

const lines = (items: readonly string[], separator = ",\n  "): string => items.join(separator);

/** Tables, view, functions and grants of one dataset, in the order in which they can be created. */
export function datasetSql(dataset: DatasetShape): string {
  return [
    seriesTableSql(dataset),
    dataTableSql(dataset),
    statisticsSql(dataset),
    ownSeriesSql(dataset),
    viewSql(dataset),
    ensureSeriesSql(dataset),
    findSeriesSql(dataset),
    upsertFunctionSql(dataset),
    readFunctionSql(dataset),
    functionGrantsSql(dataset),
  ].join("\n");
}

/** Types and checks of dimensions; the client brings them in one spelling each. */
const DIMENSIONS: Readonly<Record<DimensionColumn["type"], { sqlType: string; check: (name: string) => string }>> = {
  text: {
    sqlType: "text",
    check: (name) =>
      `constraint ${name}_text check (char_length(${name}) between 1 and ${MAX_TEXT_CHARACTERS} and ${name} = btrim(${name}) and ${name} !~ '[[:cntrl:]]')`,
  },
  timeframe: {
    sqlType: "text",
    check: (name) => `constraint ${name}_known check (${name} in (${TIMEFRAMES.map((t) => `'${t}'`).join(", ")}))`,
  },
  date: { sqlType: "date", check: (name) => `constraint ${name}_finite check (isfinite(${name}))` },
  option_type: { sqlType: "text", check: (name) => `constraint ${name}_known check (${name} in ('C', 'P'))` },
  decimal: {
    sqlType: `numeric(${DECIMAL_PRECISION},${DECIMAL_SCALE})`,
    check: (name) => `constraint ${name}_range check (${name} > 0)`,
  },
};

/** A dimension as text in the client's spelling. */
const asText = ({ name, type }: DimensionColumn, table: string): string =>
  type === "decimal"
    ? `trim_scale(${table}.${name})::text`
    : type === "date"
      ? `to_char(${table}.${name}, 'YYYY-MM-DD')`
      : `${table}.${name}`;
/** An array of such texts as an array of the column's type. */
const typedArray = ({ type }: DimensionColumn, array: string): string => {
  const { sqlType } = DIMENSIONS[type];
  return sqlType === "text" ? array : `${array}::${sqlType.replace(/\(.*/, "")}[]`;
};

function seriesTableSql(dataset: DatasetShape): string {
  const { name, dimensions } = dataset;
  return `create table store.${name}_series (
  ${lines([
    "series_id int4 generated always as identity primary key",
    "tenant_id uuid not null references store.tenants (id)",
    ...dimensions.map((d) => `${d.name} ${DIMENSIONS[d.type].sqlType} not null`),
    `unique (tenant_id, ${dimensions.map((d) => d.name).join(", ")})`,
    ...dimensions.map((d) => DIMENSIONS[d.type].check(d.name)),
  ])}
);
`;
}

function sqlType({ type, precision, scale }: ValueColumn): string {
  if (type === "numeric") return `numeric(${precision},${scale})`;
  return type === "json" ? "jsonb" : type;
}

function valueCheck(column: ValueColumn): string {
  const { name, type, min, max } = column;
  if (type === "text") return `constraint ${name}_length check (char_length(${name}) <= ${column.maxCharacters})`;
  if (type === "json") return `constraint ${name}_object check (jsonb_typeof(${name}) = 'object')`;
  if (type === "numeric") return `constraint ${name}_range check (${name} <> 'NaN')`;
  const bounds = [
    ...(min !== undefined ? [`${name} >= ${min}`] : type === "float8" ? [`${name} > '-infinity'`] : []),
    ...(max !== undefined ? [`${name} <= ${max}`] : type === "float8" ? [`${name} < 'infinity'`] : []),
  ];
  return bounds.length === 0 ? "" : `constraint ${name}_range check (${bounds.join(" and ")})`;
}

function dataTableSql(dataset: DatasetShape): string {
  const { name, time, contentKey, values, rules } = dataset;
  return `create table store.${name}_data (
  ${lines([
    "series_id int4 not null",
    `${time.name} timestamptz not null`,
    ...(contentKey ? [`${contentKey.name} bytea not null`] : []),
    ...values.map((v) => `${v.name} ${sqlType(v)}${v.required ? " not null" : ""}`),
    `primary key (${keyColumns(dataset).join(", ")})`,
    ...(contentKey ? [`constraint ${contentKey.name}_length check (octet_length(${contentKey.name}) = 16)`] : []),
    ...values.map(valueCheck).filter((check) => check !== ""),
    ...rules.map((rule) => `constraint ${rule.name} check (${rule.sql})`),
  ])}
) partition by range (${time.name});
`;
}

function statisticsSql({ name, dimensions, time, contentKey, values }: DatasetShape): string {
  const none = (columns: readonly { readonly name: string }[]): string =>
    lines(columns.map((column) => `alter column ${column.name} set statistics 0`));
  return `-- What tenants store must not show in the planner's estimates, so statistics are kept of ids only.
alter table store.${name}_series
  ${none(dimensions)};
alter table store.${name}_data
  ${none([time, ...(contentKey ? [contentKey] : []), ...values])};
`;
}

function ownSeriesSql({ name, dimensions }: DatasetShape): string {
  const columns = dimensions.map((d) => `${d.name} ${DIMENSIONS[d.type].sqlType.replace(/\(.*/, "")}`);
  return `create function store.own_${name}_series() returns table (series_id int4, ${columns.join(", ")})
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select s.series_id, ${dimensions.map((d) => `s.${d.name}`).join(", ")}
  from store.${name}_series s where s.tenant_id = (select store.current_tenant())
$$;
`;
}

function viewSql(dataset: DatasetShape): string {
  const { name, dimensions, time, values } = dataset;
  const data = [time, ...values].map((column) => `d.${column.name}`);
  return `-- The order keeps the inner query one of its own, run for each of the tenant's series; it sorts nothing. In a plain join
-- the planner may filter all tenants' rows by a reader's condition first, and explain analyze then counts them.
create view mds.${dataset.view ?? name} with (security_barrier) as
select ${[...dimensions.map((d) => `s.${d.name}`), ...data].join(", ")}
from store.own_${name}_series() s
cross join lateral (
  select ${data.join(", ")}
  from store.${name}_data d where d.series_id = s.series_id order by d.series_id
) d;
`;
}

function ensureSeriesSql(dataset: DatasetShape): string {
  const { name, dimensions } = dataset;
  const dims = dimensions.map((d) => d.name);
  const wanted = `unnest(${dimensions.map((d) => typedArray(d, `${d.name}_values`)).join(", ")})`;
  const same = dims.map((d) => `s.${d} = w.${d}`).join(" and ");
  return `-- Answers with the series' ids in the order asked; makes those that are missing.
-- An anti-join first: "on conflict do nothing" alone would burn an id for every known series.
create function mds.ensure_${name}_series(${dims.map((d) => `${d}_values text[]`).join(", ")}) returns int4[]
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
  const { name, dimensions } = dataset;
  const matches = dimensions.map((d) => {
    const given = typedArray(d, `${d.name}_values`);
    const exact = `${d.name}_values is null or s.${d.name} = any (${given})`;
    if (d.type !== "text" && d.type !== "timeframe") return `(${exact})`;
    return `(${exact}
        or (ignore_case and lower(s.${d.name}) = any (select lower(g) from unnest(${given}) as g)))`;
  });
  const order = dimensions.map((d) =>
    DIMENSIONS[d.type].sqlType === "text" ? `s.${d.name} collate "C"` : `s.${d.name}`,
  );
  return `-- The tenant's series, from behind one of them where it is given; a null array means any. The tenant is looked up
-- first, and so is that one: were they part of the query, whether it is done would tell that somebody has such a series.
create function mds.find_${name}_series(
  ${dimensions.map((d) => `${d.name}_values text[]`).join(", ")},
  ignore_case boolean, max_series int4, after_series int4 default null
)
returns table (series_id int4, ${dimensions.map((d) => `${d.name} text`).join(", ")})
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  behind store.${name}_series;
begin
  select a.* into behind from store.${name}_series a where a.series_id = after_series and a.tenant_id = tenant;
  return query
    select s.series_id, ${dimensions.map((d) => asText(d, "s")).join(", ")}
    from store.${name}_series s
    where s.tenant_id = tenant
      and ${matches.join("\n      and ")}
      and (after_series is null or (${order.join(", ")}) > (${dimensions.map((d) => `behind.${d.name}`).join(", ")}))
    order by ${order.join(", ")}
    limit max_series;
end $$;
`;
}

function readFunctionSql(dataset: DatasetShape): string {
  const { name, time, contentKey, values } = dataset;
  const content = contentKey?.name;
  const columns = [...keyColumns(dataset), ...values.map((v) => v.name)].map((c) => `d.${c}`).join(", ");
  const page = (order: "asc" | "desc"): string => {
    const window =
      content === undefined ? `d.${time.name} >= window_start and d.${time.name} < window_end` : resumed(order);
    const by = [time.name, ...(content ? [content] : [])].map((column) => `d.${column} ${order}`).join(", ");
    return `return query
        select ${columns} from store.${name}_data d
        where d.series_id = series and ${window}
        order by ${by} limit wanted;`;
  };
  // Several rows may have one time, so a page goes on after a time and a content key.
  const resumed = (order: "asc" | "desc"): string =>
    order === "asc"
      ? `d.${time.name} >= window_start and d.${time.name} < window_end
          and (after_key is null or d.${time.name} > window_start or d.${content} > after_key)`
      : `d.${time.name} >= window_start and d.${time.name} <= window_end
          and (d.${time.name} < window_end or d.${content} < after_key)`;
  return `-- The first rows of a half-open window, series by series in the order given, each in time order, at most max_rows.
-- A foreign id gives no rows. A loop, because a join over all series would sort every window before its first row. By
-- the index only: a kept plan may stem from the time when a partition was empty.
create function mds.read_${name}(
  series_ids int4[], window_start timestamptz, window_end timestamptz, ${content ? "after_key bytea, " : ""}newest_first boolean, max_rows int4
)
returns table (
  series_id int4, ${time.name} timestamptz, ${content ? `${content} bytea, ` : ""}${values.map((v) => `${v.name} ${sqlType(v).replace(/\(.*/, "")}`).join(", ")}
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
