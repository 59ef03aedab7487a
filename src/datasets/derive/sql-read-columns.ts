/** The function that reads a dataset's rows as columns; column-form.ts takes them up. Migrations carry its text. */
import type { DatasetShape, ValueColumn } from "../dataset.ts";
import { NULL_BITS, type NumberType } from "./column-form.ts";

/** Rows of one answer at most, five of the client's pages: until it is sent the answer is in the server's memory. */
const MAX_ROWS = 100_000;

/** For datasets that have a column form. */
export function readColumnsFunctionSql({ name, time, values }: DatasetShape): string {
  const columns = [time.name, ...values.map((value) => value.name)];
  const packed = [`timestamptz_send(d.${time.name})`, ...values.map(binary)].map((one) => `string_agg(${one}, '')`);
  const some = (order: "asc" | "desc"): string => `select count(*), ${packed.join(",\n          ")}
        into found_rows, ${columns.join(", ")}
        from (
          select ${columns.map((column) => `d.${column}`).join(", ")} from store.${name}_data d
          where d.series_id = series and d.${time.name} >= window_start and d.${time.name} < window_end
          order by d.${time.name} ${order} limit wanted
        ) d;`;
  return `-- What mds.read_${name} gives, as one row of columns for each series that has any: the binary forms of its values strung together,
-- a null as eight bytes that no value has. At most ${MAX_ROWS} of the rows, since the answer is held in memory.
create function mds.read_${name}_columns(
  series_ids int4[], window_start timestamptz, window_end timestamptz, newest_first boolean, max_rows int4
)
returns table (series_id int4, ${columns.map((column) => `${column} bytea`).join(", ")})
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  series int4;
  wanted int4 := least(max_rows, ${MAX_ROWS});
  found_rows int4;
begin
  for series in
    select s.series_id from unnest(series_ids) with ordinality as w (series_id, position)
    join store.${name}_series s on s.series_id = w.series_id and s.tenant_id = tenant
    order by w.position
  loop
    if newest_first then
      ${some("desc")}
    else
      ${some("asc")}
    end if;
    if found_rows > 0 then
      series_id := series;
      return next;
    end if;
    wanted := wanted - found_rows;
    exit when wanted <= 0;
  end loop;
end $$;
`;
}

function binary({ name, type, required }: ValueColumn): string {
  const bytes = `${type}send(d.${name})`;
  return required ? bytes : `coalesce(${bytes}, '\\x${NULL_BITS[type as NumberType]}')`;
}
