/**
 * The engine on PostgreSQL alone: partitions are declarative ranges of time. Making one holds up no writer, dropping one
 * none that writes elsewhere. It compresses nothing and says so.
 */
import { withOwner } from "../owner-session.ts";
import { utcText } from "../utc-text.ts";
import {
  CAPABILITIES,
  type CompressionReport,
  type Engine,
  type MakePartitionsOptions,
  type Partition,
} from "./engine.ts";
import { applyRetention, countSpan } from "./plain-retention.ts";
import { readPolicyRows } from "./policy-rows.ts";
import { planRetention } from "./retention-plan.ts";

/**
 * The engine for one database.
 *
 * @param adminUrl - direct connection of a login that is a member of mds_owner.
 */
export function plainEngine(adminUrl: string): Engine {
  return {
    name: "plain",
    capabilities: CAPABILITIES.plain,
    makePartitions: (options) => makePartitions(adminUrl, options),
    planRetention: (options = {}) => planRetention(adminUrl, options, countSpan),
    applyRetention: (plan, options = {}) => applyRetention(adminUrl, plan, options),
    compress: ({ datasets, signal } = {}) =>
      withOwner({ adminUrl, signal }, async (owner): Promise<CompressionReport> => {
        const wanting = (await readPolicyRows(owner, datasets)).filter(({ compresses }) => compresses);
        const { reason } = CAPABILITIES.plain.compression;
        return { compressed: [], skipped: wanting.map(({ dataset }) => ({ dataset, reason })) };
      }),
  };
}

/** A dataset a transaction, so that none waits for another's lock. */
function makePartitions(
  adminUrl: string,
  { datasets, periodsAhead, signal }: MakePartitionsOptions,
): Promise<Partition[]> {
  return withOwner({ adminUrl, signal }, async (owner) => {
    const made: Partition[] = [];
    for (const { dataset, enabled } of await readPolicyRows(owner, datasets)) {
      if (!enabled) continue;
      const rows = await owner.query<Partition>(
        `select p.dataset, m.partition_name as partition,
           ${utcText("m.range_start")} as range_start, ${utcText("m.range_end")} as range_end
         from store.policies p
         cross join lateral store.make_partitions(p.dataset, array(
           select date_trunc(p.partition_width, now()) + ahead * ('1 ' || p.partition_width)::interval
           from generate_series(0, $2::int4) ahead
         )) m
         where p.dataset = $1`,
        [dataset, periodsAhead],
      );
      made.push(...rows);
    }
    return made;
  });
}
