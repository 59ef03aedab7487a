/** TimescaleDB, where it is the engine: its jobs can run, are there as the policies say, and did not fail. */
import { withOwner } from "../owner-session.ts";
import { openConnection } from "../pool.ts";
import { ensureOwnerLogin } from "../roles.ts";
import { type Check, type Examination, type Finding, named } from "./finding.ts";

const CONNECT_TIMEOUT_MS = 5_000;

interface Facts {
  readonly login: boolean;
  /** Datasets without the job that their policy asks for. */
  readonly uncompressed: readonly string[];
  /** Datasets whose job failed the last time that it ran. */
  readonly failing: readonly string[];
  /** Datasets that are not in a hypertable. */
  readonly unmoved: readonly string[];
}

export const checkTimescale: Check = async (examination) => {
  const { ask, adminUrl } = examination;
  const [engine] = await ask<{ value: string }>("select value from store.settings where name = 'engine'", [], {
    asOwner: true,
  });
  if (engine?.value !== "timescale") return [];
  const facts = await readFacts(examination);
  const findings: Finding[] = [];
  if (!facts.login) {
    findings.push({
      code: "owner_login_missing",
      severity: "error",
      message: "mds_owner cannot log in, so that TimescaleDB cannot run the jobs that compress.",
      remedy: "Run as an administrator: alter role mds_owner login. It needs no password.",
      fix: () => allowLogin(adminUrl),
    });
  }
  if (facts.uncompressed.length > 0) {
    findings.push({
      code: "columnstore_policy_missing",
      severity: "error",
      message: `These have a policy to be compressed, and TimescaleDB has no job for it: ${named(facts.uncompressed, 10)}.`,
      remedy: "Let `mds doctor --fix` make it, or apply the policy anew.",
      fix: () => addPolicies(adminUrl, facts.uncompressed),
    });
  }
  if (facts.failing.length > 0) {
    findings.push({
      code: "columnstore_policy_failing",
      severity: "warning",
      message: `TimescaleDB's job that compresses failed the last time for ${named(facts.failing, 10)}.`,
      remedy: "Read why in timescaledb_information.job_errors.",
    });
  }
  if (facts.unmoved.length > 0) {
    findings.push({
      code: "engine_move_unfinished",
      severity: "warning",
      message: `The move to TimescaleDB is not finished: ${named(facts.unmoved, 10)} are still in PostgreSQL's own partitions.`,
      remedy: "Run `mds engine migrate` again; it goes on where it was.",
    });
  }
  return findings;
};

async function readFacts({ ask }: Examination): Promise<Facts> {
  const [row] = await ask<Facts>(
    `with jobs as (
       select j.hypertable_name, s.last_run_status
       from timescaledb_information.jobs j left join timescaledb_information.job_stats s on s.job_id = j.job_id
       where j.hypertable_schema = 'store' and j.proc_name in ('policy_compression', 'policy_columnstore')
     )
     select
       (select r.rolcanlogin from pg_roles r where r.rolname = 'mds_owner') as login,
       array(
         select p.dataset from store.policies p
         where p.compress_after is not null and store.is_hypertable(p.dataset)
           and not exists (select from jobs j where j.hypertable_name = p.dataset || '_data') order by 1
       ) as uncompressed,
       array(
         select p.dataset from store.policies p join jobs j on j.hypertable_name = p.dataset || '_data'
         where j.last_run_status = 'Failed' order by 1
       ) as failing,
       array(select p.dataset from store.policies p where not store.is_hypertable(p.dataset) order by 1) as unmoved`,
    [],
    { asOwner: true },
  );
  return row!;
}

async function allowLogin(adminUrl: string): Promise<string> {
  const client = await openConnection(adminUrl, "mds doctor", CONNECT_TIMEOUT_MS);
  try {
    await ensureOwnerLogin(client);
    return "Let mds_owner log in, without a password.";
  } finally {
    await client.end();
  }
}

async function addPolicies(adminUrl: string, datasets: readonly string[]): Promise<string> {
  await withOwner({ adminUrl }, async (owner) => {
    await owner.query(
      "select store.set_compression(p.dataset, p.compress_after) from store.policies p where p.dataset = any ($1)",
      [datasets],
    );
  });
  return `Made TimescaleDB's jobs for ${named(datasets, 10)}.`;
}
