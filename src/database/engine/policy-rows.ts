/** What engines read of the policies, as the owner. */
import { StoreError } from "../../errors/store-error.ts";
import type { OwnerSession } from "../owner-session.ts";

export interface PolicyRow {
  readonly dataset: string;
  readonly enabled: boolean;
  readonly compresses: boolean;
}

/**
 * The policies of these datasets, of all unless given, by name.
 *
 * @throws StoreError `policy_refused` for a dataset that there is not.
 */
export async function readPolicyRows(
  owner: OwnerSession,
  datasets: readonly string[] | undefined,
): Promise<PolicyRow[]> {
  const rows = await owner.query<PolicyRow>(
    `select dataset, enabled, compress_after is not null as compresses from store.policies order by dataset collate "C"`,
  );
  const unknown = datasets?.find((name) => !rows.some(({ dataset }) => dataset === name));
  if (unknown !== undefined) {
    const known = rows.map(({ dataset }) => dataset).join(", ");
    throw new StoreError("policy_refused", `There is no dataset "${unknown}"; there are ${known}.`);
  }
  return rows.filter(({ dataset }) => datasets === undefined || datasets.includes(dataset));
}
