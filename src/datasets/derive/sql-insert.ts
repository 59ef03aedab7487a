/**
 * The function that inserts a dataset's rows only where their keys are absent, for replaying what was accepted long ago:
 * something newer may have been stored since. Existence is decided by the insert itself, so no race can overwrite.
 */
import type { DatasetShape } from "../dataset.ts";
import {
  differs,
  incoming,
  keyColumns,
  marked,
  ownSeries,
  PLAN_SETTINGS,
  requiredValues,
  scaleSql,
  storedJoin,
  upsertParameters,
} from "./sql-upsert.ts";

const MARK_VARIABLES = `
  nearby int8;
  marked int4[]; -- Those of the batch's series of which there are aggregates.`;
/** The batch as a whole: what was not inserted is worked out again in vain. */
const MARKS = `
    if inserted > 0 and marked is not null then
      perform store.mark_bars(marked, first_time, last_time, series_ids, times);
    end if;`;

/** `create function mds.insert_<dataset>`, with its grants. */
export function insertFunctionSql(dataset: DatasetShape): string {
  const { name } = dataset;
  const keys = keyColumns(dataset);
  const columns = [...keys, ...dataset.values.map((v) => v.name)];
  const required = requiredValues(dataset);
  const complete = required.length === 0 ? "true" : required.map((v) => `${v.name}_values is not null`).join(" and ");
  return `-- Inserts rows whose keys are absent and never changes a stored one. Parameters as those of mds.upsert_${name}. Rows that are
-- not in the table as given come back in "rejected": another row has the key, or a required value is absent. "updated" is 0.
create function mds.insert_${name}(
  ${upsertParameters(dataset).join(",\n  ")},
  out inserted int8, out updated int8, out unchanged int8, out rejected int4[], out reasons text[]
)
language plpgsql security definer set search_path = pg_catalog, pg_temp
${PLAN_SETTINGS} as $$
declare
  tenant uuid := store.require_tenant();
  ids int4[] := array(select distinct i from unnest(series_ids) i);
  first_time timestamptz;
  last_time timestamptz;
  by_key constant boolean := true;${marked(dataset, MARK_VARIABLES)}
begin
  ${ownSeries(dataset)} then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
${scaleSql(dataset)}  inserted := 0;
  updated := 0;
  if ${complete} then
    insert into store.${name}_data (${columns.join(", ")})
    select ${columns.map((c) => `n.${c}`).join(", ")}
    from ${incoming(dataset)} n
    order by ${keys.map((key) => `n.${key}`).join(", ")}
    on conflict do nothing;
    get diagnostics inserted = row_count;${marked(dataset, MARKS)}
  end if;
  select array_agg(n.position), array_agg(case when d.series_id is null then 'field_missing' else 'key_present' end)
  into rejected, reasons
  from ${incoming(dataset, ",\n        generate_subscripts(series_ids, 1) as position")} n
  ${storedJoin(dataset)}
  where ${differs(dataset)};
  unchanged := cardinality(series_ids) - inserted - coalesce(cardinality(rejected), 0);
end $$;

revoke execute on function mds.insert_${name} from public;
grant execute on function mds.insert_${name} to mds_app;
`;
}
