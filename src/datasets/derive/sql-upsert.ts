/**
 * The upsert function of a dataset. It refuses foreign series, writes only what differs, in key order, and counts what
 * it wrote in the filter. A value column whose array is null is absent: stored values stay. Why this form:
 * docs/decisions/upsert.md.
 */
import type { DatasetShape, ValueColumn } from "../dataset.ts";

/** A look-up by key costs as much as reading about so many rows in a row. */
const SCATTERED = 4;
/**
 * Leaves the planner one way: the key's index, and a hash of what was found. Statistics of a partition that was empty
 * a minute ago, or a plan kept from then, make a scan of all of it look cheap. A plan of its own for each call knows the
 * batch's times, hence its few partitions among hundreds. Compiling costs more than any of these statements.
 */
export const PLAN_SETTINGS = `set plan_cache_mode = force_custom_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off set enable_nestloop = off set enable_mergejoin = off`;

/** `create function mds.upsert_<dataset>`. */
export function upsertFunctionSql(dataset: DatasetShape): string {
  const { name, time, values } = dataset;
  const keys = keyColumns(dataset);
  const columns = [...keys, ...values.map((v) => v.name)];
  const afterConflict = values.map((v) => absentKeeps(v, "excluded"));
  return `-- One batch: parallel arrays in key order, every key once. A value column whose array is null is absent and keeps what is
-- stored. Rows that the absent columns make impossible come back in "rejected" (1-based positions with their reasons);
-- then nothing was written and the caller sends the others again.
create function mds.upsert_${name}(
  ${upsertParameters(dataset).join(",\n  ")},
  out inserted int8, out updated int8, out unchanged int8, out rejected int4[], out reasons text[]
)
language plpgsql security definer set search_path = pg_catalog, pg_temp
${PLAN_SETTINGS} as $$
declare
  tenant uuid := store.require_tenant();
  size int4 := cardinality(series_ids);
  ids int4[] := array(select distinct i from unnest(series_ids) i);
  first_time timestamptz;
  last_time timestamptz;
  nearby int8;
  by_key boolean;${marked(dataset, MARK_VARIABLES)}
begin
  ${ownSeries(dataset)} then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  -- Stored rows between the batch's first key and its last: none in new ground; few in a replay; many where the batch is
  -- scattered over a long history, and then its keys are looked up one by one.
  select count(*) into nearby
  from (
    select from store.${name}_data s
    where s.series_id = any (ids) and s.${time.name} between first_time and last_time
      and (s.series_id, s.${time.name}) between (series_ids[1], times[1]) and (series_ids[size], times[size])
    limit ${SCATTERED} * size + 1
  ) s;
  by_key := nearby > ${SCATTERED} * size;
${scaleSql(dataset)}${rejectionSql(dataset)}  for attempt in 1..2 loop
    if nearby = 0 then
      inserted := size;
      updated := 0;
    else
      select count(*) filter (where d.series_id is null), count(*) filter (where d.series_id is not null)
      into inserted, updated
      from ${incoming(dataset)} n
      ${storedJoin(dataset)}
      where ${differs(dataset)};
    end if;
    exit when inserted + updated = 0;
    if inserted = size and attempt = 1 then
      begin
        insert into store.${name}_data (${columns.join(", ")})
        select ${columns.map((c) => `n.${c}`).join(", ")}
        from ${incoming(dataset)} n
        order by ${keys.map((key) => `n.${key}`).join(", ")};${marked(dataset, MARK_INSERTED)}
        exit;
      exception when unique_violation then
        nearby := size; -- Another session wrote one of these keys in this moment: look again.
        by_key := true;
        continue;
      end;
    end if;
    ${marked(dataset, MARKS_ITSELF)}insert into store.${name}_data as d (${columns.join(", ")})
    select ${keys.map((key) => `n.${key}`).join(", ")},
      ${values.map((v) => absentKeeps(v, "n")).join(",\n      ")}
    from ${incoming(dataset)} n
    ${storedJoin(dataset)}
    where ${differs(dataset)}
    order by ${keys.map((key) => `n.${key}`).join(", ")}
    on conflict (${keys.join(", ")}) do update set
      ${values.map((v, i) => `${v.name} = ${afterConflict[i]}`).join(",\n      ")}
    where (${stored(dataset)}) is distinct from (
      ${afterConflict.join(",\n      ")})${marked(dataset, markWritten(dataset))};${marked(dataset, MARK_WRITTEN)}
    exit;
  end loop;
  unchanged := size - inserted - updated;
end $$;
`;
}

/** The parallel arrays of a batch. */
export function upsertParameters({ contentKey, values }: DatasetShape): string[] {
  return [
    "series_ids int4[]",
    "times timestamptz[]",
    ...(contentKey ? ["content_keys bytea[]"] : []),
    ...values.map((v) => `${v.name}_values ${arrayType(v)}`),
  ];
}

/** Values that may be absent only where the key is stored. */
export function requiredValues({ values, contentKey }: DatasetShape): ValueColumn[] {
  return values.filter((v) => v.required && !contentKey?.columns.includes(v.name));
}

/** The columns of the primary key. */
export function keyColumns({ time, contentKey }: DatasetShape): string[] {
  return ["series_id", time.name, ...(contentKey ? [contentKey.name] : [])];
}

const arrayType = ({ type }: ValueColumn): string => `${type === "json" ? "jsonb" : type}[]`;
const stored = ({ values }: DatasetShape): string => values.map((v) => `d.${v.name}`).join(", ");
const absentKeeps = ({ name }: ValueColumn, source: "n" | "excluded"): string =>
  `case when ${name}_values is null then d.${name} else ${source}.${name} end`;

/** SQL that only datasets with aggregates need. */
export const marked = ({ aggregated }: DatasetShape, sql: string): string => (aggregated === undefined ? "" : sql);

const MARK_VARIABLES = `
  marked int4[]; -- Those of the batch's series of which there are aggregates.
  written_ids int4[];
  written_times timestamptz[];`;
const MARK_INSERTED = `
        if marked is not null then
          perform store.mark_bars(marked, first_time, last_time, series_ids, times);
        end if;`;
/** The trigger that marks what is changed by hand would do so again, less closely. */
const MARKS_ITSELF = `perform set_config('store.marks_itself', 'yes', true);
    with written as (`;
const MARK_WRITTEN = `
    perform set_config('store.marks_itself', '', true);
    if marked is not null and written_ids is not null then
      perform store.mark_bars(marked, first_time, last_time, written_ids, written_times);
    end if;`;

/** What was written is known from the statement itself: another session may have written since the rows were counted. */
function markWritten({ time }: DatasetShape): string {
  return `
    returning d.series_id, d.${time.name})
    select array_agg(w.series_id), array_agg(w.${time.name}), min(w.${time.name}), max(w.${time.name})
    into written_ids, written_times, first_time, last_time from written w`;
}

/** The beginning of an `if` that is true where a series of the batch is not the tenant's. */
export function ownSeries({ name, aggregated }: DatasetShape): string {
  const own = `from store.${name}_series s where s.series_id = any (ids) and s.tenant_id = tenant`;
  if (aggregated === undefined)
    return `if cardinality(ids) > (
    select count(*) ${own}
  )`;
  const { dimension, from } = aggregated;
  return `select count(*), array_agg(s.series_id) filter (where s.${dimension} = '${from}') into nearby, marked
  ${own};
  if cardinality(ids) > nearby`;
}

/** Set-returning calls in the select list: `from unnest(a, b, ...)` would write every array to a store of its own. */
export function incoming({ time, values, contentKey }: DatasetShape, more = ""): string {
  const lists = values.map((v) => `unnest(${v.name}_values) as ${v.name}`);
  if (contentKey) lists.unshift(`unnest(content_keys) as ${contentKey.name}`);
  return `(
      select unnest(series_ids) as series_id, unnest(times) as ${time.name},
        ${lists.join(",\n        ")}${more}
    )`;
}

/** The stored rows of the batch's keys, in one of two ways; the one not taken costs nothing. */
export function storedJoin(dataset: DatasetShape): string {
  const { name, time, contentKey } = dataset;
  const keys = keyColumns(dataset);
  const same = (left: string, right: string): string =>
    keys.map((key) => `${left}.${key} = ${right}.${key}`).join(" and ");
  const arrays = ["series_ids", "times", ...(contentKey ? ["content_keys"] : [])];
  const bounds = `s.${time.name} between first_time and last_time`;
  return `left join (
      select * from store.${name}_data s
      where not by_key and s.series_id = any (ids) and ${bounds}
      union all
      select s.* from unnest(${arrays.join(", ")}) as k (${keys.join(", ")})
      cross join lateral (
        select * from store.${name}_data s where ${same("s", "k")} and ${bounds} limit 1
      ) s
      where by_key
    ) d on ${same("d", "n")}`;
}

export function differs(dataset: DatasetShape): string {
  return `d.series_id is null or (${stored(dataset)}) is distinct from (
      ${dataset.values.map((v) => absentKeeps(v, "n")).join(",\n      ")})`;
}

function rejectionSql(dataset: DatasetShape): string {
  const { values, rules } = dataset;
  const required = requiredValues(dataset);
  if (required.length === 0) return "";
  return `  if ${required.map((v) => `${v.name}_values is null`).join(" or ")} then
    select array_agg(j.position), array_agg(j.reason) into rejected, reasons
    from (
      select m.position, case
        when ${required.map((v) => `m.${v.name} is null`).join(" or ")} then 'field_missing'
        ${rules.map((r) => `when not (${r.sql}) then '${r.code}'`).join("\n        ")}
        end as reason
      from (
        select n.position,
          ${values.map((v) => `${absentKeeps(v, "n")} as ${v.name}`).join(",\n          ")}
        from ${incoming(dataset, ",\n        generate_subscripts(series_ids, 1) as position")} n
        ${storedJoin(dataset)}
      ) m
    ) j
    where j.reason is not null;
    if rejected is not null then
      return;
    end if;
  end if;
`;
}

/** A cast to numeric(p,s) rounds without a word, so the digits are counted before it. */
export function scaleSql({ values }: DatasetShape): string {
  const numerics = values.filter((v) => v.type === "numeric");
  if (numerics.length === 0) return "";
  const tooFine = numerics.map(
    (v) => `exists (select from unnest(${v.name}_values) v where v <> round(v, ${v.scale}))`,
  );
  return `  if ${tooFine.join("\n    or ")} then
    raise exception 'A number of this batch has more decimal places than its column keeps.' using errcode = '22003';
  end if;
`;
}
