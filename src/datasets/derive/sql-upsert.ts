/**
 * The upsert function of a dataset. It refuses foreign series, writes only what differs, in key order, and counts what
 * it wrote in the filter. A value column whose array is null is absent: stored values stay. Why this form:
 * docs/decisions/upsert.md.
 */
import type { DatasetShape, ValueColumn } from "../dataset.ts";

/** `create function mds.upsert_<dataset>`. */
export function upsertFunctionSql(dataset: DatasetShape): string {
  const { name, time, values } = dataset;
  const columns = [time.name, ...values.map((v) => v.name)];
  const arrays = ["series_ids int4[]", "times timestamptz[]", ...values.map((v) => `${v.name}s ${v.type}[]`)];
  const afterConflict = values.map((v) => absentKeeps(v, "excluded"));
  return `-- One batch: parallel arrays, every key at most once. A value column whose array is null is absent and keeps what is
-- stored. Rows that the absent columns make impossible come back in "rejected" (1-based positions with their reasons);
-- then nothing was written and the caller sends the others again.
create function mds.upsert_${name}(
  ${arrays.join(",\n  ")},
  out inserted int8, out updated int8, out unchanged int8, out rejected int4[], out reasons text[]
)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  tenant uuid := store.require_tenant();
  size int4 := cardinality(series_ids);
  ids int4[] := array(select distinct i from unnest(series_ids) i);
  first_time timestamptz;
  last_time timestamptz;
begin
  if exists (
    select from unnest(ids) i
    left join store.${name}_series s on s.series_id = i and s.tenant_id = tenant
    where s.series_id is null
  ) then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
${rejectionSql(dataset)}
  for attempt in 1..2 loop
    select count(*) filter (where d.series_id is null), count(*) filter (where d.series_id is not null)
    into inserted, updated
    from ${incoming(dataset)} n
    ${storedJoin(dataset)}
    where ${differs(dataset)};
    exit when inserted + updated = 0;
    if inserted = size and attempt = 1 then
      begin
        insert into store.${name}_data (series_id, ${columns.join(", ")})
        select n.series_id, ${columns.map((c) => `n.${c}`).join(", ")}
        from ${incoming(dataset)} n
        order by n.series_id, n.${time.name};
        exit;
      exception when unique_violation then
        continue; -- Another session wrote one of these keys in this moment: look again.
      end;
    end if;
    insert into store.${name}_data as d (series_id, ${columns.join(", ")})
    select n.series_id, n.${time.name},
      ${values.map((v) => absentKeeps(v, "n")).join(",\n      ")}
    from ${incoming(dataset)} n
    ${storedJoin(dataset)}
    where ${differs(dataset)}
    order by n.series_id, n.${time.name}
    on conflict (series_id, ${time.name}) do update set
      ${values.map((v, i) => `${v.name} = ${afterConflict[i]}`).join(",\n      ")}
    where (${stored(dataset)}) is distinct from (
      ${afterConflict.join(",\n      ")});
    exit;
  end loop;
  unchanged := size - inserted - updated;
end $$;
`;
}

const stored = ({ values }: DatasetShape): string => values.map((v) => `d.${v.name}`).join(", ");
const absentKeeps = ({ name }: ValueColumn, source: "n" | "excluded"): string =>
  `case when ${name}s is null then d.${name} else ${source}.${name} end`;

/** Set-returning calls in the select list: `from unnest(a, b, ...)` would write every array to a store of its own. */
function incoming({ time, values }: DatasetShape, more = ""): string {
  const lists = values.map((v) => `unnest(${v.name}s) as ${v.name}`);
  return `(
      select unnest(series_ids) as series_id, unnest(times) as ${time.name},
        ${lists.join(",\n        ")}${more}
    )`;
}

function storedJoin({ name, time }: DatasetShape): string {
  return `left join (
      select * from store.${name}_data s
      where s.series_id = any (ids) and s.${time.name} between first_time and last_time
    ) d on d.series_id = n.series_id and d.${time.name} = n.${time.name}`;
}

function differs(dataset: DatasetShape): string {
  return `d.series_id is null or (${stored(dataset)}) is distinct from (
      ${dataset.values.map((v) => absentKeeps(v, "n")).join(",\n      ")})`;
}

function rejectionSql(dataset: DatasetShape): string {
  const { values, rules } = dataset;
  const required = values.filter((v) => v.required);
  return `  if ${required.map((v) => `${v.name}s is null`).join(" or ")} then
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
