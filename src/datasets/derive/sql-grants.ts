/** Who may use a dataset's view and functions: readers read, the application writes, nobody else does anything. */
import type { DatasetShape } from "../dataset.ts";

/** Revokes what PostgreSQL grants to everybody and grants what each role needs. */
export function functionGrantsSql({ name, view = name }: DatasetShape): string {
  const read = [`mds.find_${name}_series`, `mds.read_${name}`];
  const write = [`mds.ensure_${name}_series`, `mds.upsert_${name}`];
  const inView = `store.own_${name}_series`;
  return `revoke execute on function ${[inView, ...read, ...write].join(", ")} from public;
grant execute on function ${[inView, ...read].join(", ")} to mds_app, mds_reader;
grant execute on function ${write.join(", ")} to mds_app;
grant select on mds.${view} to mds_app, mds_reader;
`;
}
