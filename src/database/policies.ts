/**
 * Policies: what is kept of each dataset and aggregate, for how long, in partitions of which width. Read, compared with
 * what is wanted, and set in one transaction; the database refuses what cannot hold. Applying twice changes nothing.
 */
import { DURATION_ALLOWED, parseDuration } from "../contracts/duration.ts";
import { StoreError } from "../errors/store-error.ts";
import { runAsRole } from "./session.ts";
import type { AdminScope } from "./tenants.ts";
import { utcText } from "./utc-text.ts";

/** A stored policy. Durations are spelt as in `90 days`; null keeps all rows, or compresses none. */
export interface Policy {
  /** The dataset, or an aggregate's own name, such as `bars_5m`. */
  readonly dataset: string;
  /** Of an aggregate: what it is made of, and its timeframe. */
  readonly source: string | null;
  readonly timeframe: string | null;
  /** `month` or `year`; on TimescaleDB days, such as `7 days`. */
  readonly partition_width: string;
  readonly compress_after: string | null;
  readonly keep_for: string | null;
  readonly enabled: boolean;
  /** ISO 8601, UTC. */
  readonly updated_at: string;
}

/** What somebody wants of a dataset or aggregate; an omitted field stays as it is. */
interface WantedPolicy {
  readonly partition_width?: string | undefined;
  readonly compress_after?: string | null | undefined;
  readonly keep_for?: string | null | undefined;
}
interface WantedAggregate extends WantedPolicy {
  readonly enabled?: boolean | undefined;
}

/** Wanted policies by dataset, aggregates by timeframe. */
export type WantedPolicies = Readonly<
  Record<string, WantedPolicy & { readonly aggregates?: Readonly<Record<string, WantedAggregate>> | undefined }>
>;

/** A field that changes. */
export interface PolicyChange {
  readonly dataset: string;
  readonly field: (typeof FIELDS)[number];
  readonly before: string | boolean | null;
  readonly after: string | boolean | null;
}

const FIELDS = ["partition_width", "compress_after", "keep_for", "enabled"] as const;

/** All policies, datasets before their aggregates. */
export function readPolicies(scope: AdminScope, signal?: AbortSignal): Promise<Policy[]> {
  const text = `select dataset, source, timeframe, partition_width, compress_after, keep_for, enabled,
    ${utcText("updated_at")} as updated_at from mds.read_policies()`;
  return runAsRole<Policy>({ ...scope, role: "mds_admin" }, { text, values: [] }, signal);
}

/**
 * What would change. Changes nothing.
 *
 * @throws StoreError `policy_refused` for unknown names and for what cannot hold, such as a wider partition over
 * narrower ones.
 */
export function planPolicies(scope: AdminScope, wanted: WantedPolicies, signal?: AbortSignal): Promise<PolicyChange[]> {
  return setPolicies(scope, wanted, true, signal);
}

/** Makes the policies what is wanted, all or none; what changed. @throws StoreError `policy_refused`. */
export function applyPolicies(
  scope: AdminScope,
  wanted: WantedPolicies,
  signal?: AbortSignal,
): Promise<PolicyChange[]> {
  return setPolicies(scope, wanted, false, signal);
}

/** Policies in the form in which they are wanted: applying it changes nothing. */
export function asWanted(policies: readonly Policy[]): WantedPolicies {
  const fieldsOf = ({ partition_width, compress_after, keep_for }: Policy): WantedPolicy => ({
    partition_width,
    compress_after,
    keep_for,
  });
  const datasets = policies.filter(({ source }) => source === null);
  return Object.fromEntries(
    datasets.map((policy) => {
      const aggregates = policies.filter(({ source }) => source === policy.dataset);
      const byTimeframe = aggregates.map((one) => [one.timeframe!, { ...fieldsOf(one), enabled: one.enabled }]);
      const listed = byTimeframe.length === 0 ? {} : { aggregates: Object.fromEntries(byTimeframe) };
      return [policy.dataset, { ...fieldsOf(policy), ...listed }];
    }),
  );
}

async function setPolicies(
  scope: AdminScope,
  wanted: WantedPolicies,
  checkOnly: boolean,
  signal: AbortSignal | undefined,
): Promise<PolicyChange[]> {
  const changes = changesTo(await readPolicies(scope, signal), wanted);
  const byDataset = Map.groupBy(changes, ({ dataset }) => dataset);
  if (byDataset.size > 0) {
    const datasets = [...byDataset.keys()].sort(); // in one order, so that two callers cannot deadlock
    const fields = datasets.map((dataset) =>
      JSON.stringify(Object.fromEntries(byDataset.get(dataset)!.map(({ field, after }) => [field, after]))),
    );
    const text = `select mds.set_policy(w.dataset, w.fields::jsonb, $3)
      from unnest($1::text[], $2::text[]) with ordinality as w (dataset, fields, position)`;
    await runAsRole({ ...scope, role: "mds_admin" }, { text, values: [datasets, fields, checkOnly] }, signal);
  }
  return changes;
}

function changesTo(stored: readonly Policy[], wanted: WantedPolicies): PolicyChange[] {
  return Object.entries(wanted).flatMap(([dataset, { aggregates = {}, ...fields }]) => {
    const policy = stored.find((one) => one.dataset === dataset && one.source === null);
    if (policy === undefined) {
      throw refused(`There is no dataset "${dataset}"; there are ${namesOf(stored, null).join(", ")}.`);
    }
    const own = changesOf(policy, fields);
    const theirs = Object.entries(aggregates).flatMap(([timeframe, wantedFields]) => {
      const aggregate = stored.find((one) => one.source === dataset && one.timeframe === timeframe);
      if (aggregate !== undefined) return changesOf(aggregate, wantedFields);
      const known = namesOf(stored, dataset);
      throw refused(
        `${dataset} has no aggregate "${timeframe}"; it has ${known.length === 0 ? "none" : known.join(", ")}.`,
      );
    });
    return [...own, ...theirs];
  });
}

function changesOf(policy: Policy, wanted: WantedAggregate): PolicyChange[] {
  const { dataset } = policy;
  return FIELDS.flatMap((field) => {
    const given = wanted[field];
    if (given === undefined) return [];
    const isDuration = field === "compress_after" || field === "keep_for";
    const after = isDuration && given !== null ? durationOf(dataset, field, String(given)) : given;
    return after === policy[field] ? [] : [{ dataset, field, before: policy[field], after }];
  });
}

function durationOf(dataset: string, field: string, text: string): string {
  const duration = parseDuration(text);
  if (duration !== undefined) return duration;
  throw refused(`${field} of ${dataset} is "${text}"; it must be ${DURATION_ALLOWED}.`);
}

function namesOf(stored: readonly Policy[], source: string | null): string[] {
  return stored.filter((one) => one.source === source).map(({ dataset, timeframe }) => timeframe ?? dataset);
}

function refused(message: string): StoreError {
  return new StoreError("policy_refused", message);
}
