/**
 * Who may use what, as intended. The suite compares it with the catalog: a view or a function that is not named here, or
 * whose grants are others, fails it. Tables, partitions and sequences are nobody's but the owner's.
 */

import { inject } from "vitest";
import { DATASETS } from "./arena.ts";

type Role = "mds_app" | "mds_reader" | "mds_admin";

const READERS: readonly Role[] = ["mds_app", "mds_reader"];
const WRITERS: readonly Role[] = ["mds_app"];
const ADMINS: readonly Role[] = ["mds_admin"];
const LEDGER_READERS: readonly Role[] = ["mds_app", "mds_reader", "mds_admin"];
const LEDGER_WRITERS: readonly Role[] = ["mds_app", "mds_admin"];

const AGGREGATES = ["bars_5m", "bars_15m", "bars_1h", "bars_1d"];

export const VIEWS: Readonly<Record<string, readonly Role[]>> = {
  bars: READERS,
  bars_ohlcv: READERS,
  options_snap: READERS,
  fundamentals: READERS,
  news: READERS,
  signals: READERS,
  ...Object.fromEntries(AGGREGATES.map((name) => [name, READERS])),
  latest_prices: READERS,
  data_freshness: READERS,
  job_runs_summary: ADMINS,
  job_queue_health: ADMINS,
};

const JOB_FUNCTIONS = [
  "begin_job_attempt",
  "save_job_progress",
  "save_job_checkpoint",
  "end_job_attempt",
  "read_jobs",
  "ready_jobs",
  "count_waiting_jobs",
  "abandoned_job_runs",
  "prune_job_progress",
  "read_job_queue_health",
];

const perDataset = (name: (dataset: string) => string, roles: readonly Role[]): Record<string, readonly Role[]> =>
  Object.fromEntries(DATASETS.map((dataset) => [name(dataset), roles]));

/** That only this engine has. */
const TIMESCALE_FUNCTIONS: Readonly<Record<string, readonly Role[]>> = {
  "store.timescale_schema": [],
  "store.is_hypertable": [],
  "store.width_interval": [],
  "store.period_start": [],
  "store.set_compression": [],
  "store.mark_deleted_bar": [],
  "store.new_table": [],
  "store.new_hypertable": [],
  "store.swap_table": [],
  "store.time_column": [],
  "store.settle_hypertable": [],
  "store.note_move": [],
  "store.begin_move": [],
  "store.follow_move": [],
  "store.end_move": [],
  "store.copy_rows": [],
  "store.make_hypertable": [],
  "store.hypertable_defaults": [],
  "store.delete_series_rows": [],
  "store.make_chunks": [],
};

/** By schema and name; those of schema store that are granted are called inside views, and cannot be named by others. */
export const FUNCTIONS: Readonly<Record<string, readonly Role[]>> = {
  ...perDataset((dataset) => `mds.find_${dataset}_series`, READERS),
  ...perDataset((dataset) => `mds.read_${dataset}`, READERS),
  "mds.read_bars_columns": READERS,
  "mds.read_options_columns": READERS,
  ...perDataset((dataset) => `mds.ensure_${dataset}_series`, WRITERS),
  ...perDataset((dataset) => `mds.upsert_${dataset}`, WRITERS),
  ...perDataset((dataset) => `mds.insert_${dataset}`, WRITERS),
  ...perDataset((dataset) => `store.own_${dataset}_series`, READERS),
  "mds.applied_migrations": LEDGER_READERS,
  "mds.session_tenant": READERS,
  "mds.ensure_partitions": WRITERS,
  "mds.read_latest_prices": READERS,
  "mds.read_option_chain": READERS,
  "mds.read_latest_signals": READERS,
  "mds.summarize_signals": READERS,
  "mds.create_tenant": ADMINS,
  "mds.list_tenants": ADMINS,
  "mds.rename_tenant": ADMINS,
  "mds.seed": ADMINS,
  "mds.bind_login": ADMINS,
  "mds.unbind_login": ADMINS,
  "mds.list_bound_logins": ADMINS,
  ...Object.fromEntries(JOB_FUNCTIONS.map((name) => [`mds.${name}`, ADMINS])),
  "mds.create_ingest_token": ADMINS,
  "mds.list_ingest_tokens": ADMINS,
  "mds.revoke_ingest_token": ADMINS,
  "mds.find_token_tenant": WRITERS,
  "mds.claim_idempotency_key": ADMINS,
  "mds.note_drift": ADMINS,
  "mds.clear_drift": ADMINS,
  "mds.list_drift": ADMINS,
  "mds.begin_tenant_deletion": ADMINS,
  "mds.open_transactions": ADMINS,
  "mds.list_tenant_tables": ADMINS,
  "mds.delete_tenant_rows": ADMINS,
  "mds.finish_tenant_deletion": ADMINS,
  "mds.start_run": LEDGER_WRITERS,
  "mds.progress_run": LEDGER_WRITERS,
  "mds.heartbeat_run": LEDGER_WRITERS,
  "mds.complete_run": LEDGER_WRITERS,
  "mds.prune_runs": LEDGER_WRITERS,
  "mds.get_run": LEDGER_READERS,
  "mds.recent_runs": LEDGER_READERS,
  "mds.stuck_runs": LEDGER_READERS,
  "mds.count_prunable_runs": LEDGER_READERS,
  "mds.summarize_runs": LEDGER_READERS,
  "store.current_tenant": READERS,
  "store.newest_time": READERS,
  "store.is_bound": [],
  "store.require_tenant": [],
  "store.partitions": [],
  "store.last_times": [],
  "store.uncovered": [],
  "store.bar_end": [],
  "store.last_bars": [],
  "store.run_scope": [],
  "store.require_run_scope": [],
  "store.advance_run": [],
  "store.prune_before": [],
  "mds.engine": LEDGER_READERS,
  "mds.read_policies": ADMINS,
  "mds.set_policy": ADMINS,
  "mds.find_bars_answers": READERS,
  ...Object.fromEntries(AGGREGATES.map((name) => [`mds.read_${name}`, READERS])),
  "mds.mark_aggregates": ADMINS,
  "mds.refresh_aggregates": ADMINS,
  "store.bars_aggregates": [],
  "store.bars_levels": [],
  "store.bars_kept": [],
  "store.bars_marked": [],
  "store.mark_bars": [],
  "store.mark_changed_bars": [],
  "store.mark_bars_partition": [],
  "store.mark_all_bars": [],
  "store.mark_enabled_aggregate": [],
  "store.refresh_bars_ranges": [],
  "store.duration_text": [],
  "store.all_partitions": [],
  "store.make_partitions": [],
  "store.kept_since": [],
  "store.require_attempt": [],
  "store.tenant_tables": [],
  ...(inject("engine") === "timescale" && TIMESCALE_FUNCTIONS),
};
