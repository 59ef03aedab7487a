/**
 * The one table of error codes: what each means to a caller over HTTP and whether trying again can help.
 * A code is a contract: it is never renamed and never gets another meaning.
 */

interface ErrorCodeFacts {
  /** HTTP status of an answer that carries this code. */
  readonly status: number;
  /** Whether the same call may succeed later without being changed. */
  readonly retryable: boolean;
}

const fact = (status: number, retryable = false): ErrorCodeFacts => ({ status, retryable });

export const ERROR_CODES = {
  // Wrong use of the library, the command or the service
  usage: fact(400),
  config_invalid: fact(500),
  not_found: fact(404),
  method_not_allowed: fact(405),
  body_too_large: fact(413),
  body_invalid: fact(422),
  request_invalid: fact(400),
  request_timeout: fact(408, true),
  media_type_unsupported: fact(415),
  headers_too_large: fact(431),
  runtime_too_old: fact(500),
  packages_missing: fact(500),

  // A row that cannot be stored (each costs that row alone)
  field_missing: fact(422),
  field_unknown: fact(422),
  field_invalid: fact(422),
  number_invalid: fact(422),
  number_not_exact: fact(422),
  number_out_of_range: fact(422),
  text_empty: fact(422),
  text_too_long: fact(422),
  text_invalid: fact(422),
  nul_in_text: fact(422),
  time_invalid: fact(422),
  time_zone_missing: fact(422),
  time_too_precise: fact(422),
  time_out_of_range: fact(422),
  timeframe_invalid: fact(422),
  bar_impossible: fact(422),

  // A line of a file that cannot be read (each costs that line alone)
  line_too_long: fact(422),
  line_not_utf8: fact(422),
  csv_invalid: fact(422),
  json_invalid: fact(422),

  // A file that is not what it says
  file_unreadable: fact(422),
  file_encoding: fact(422),
  file_columns: fact(422),
  file_truncated: fact(422),

  // A file that cannot be written
  file_unwritable: fact(500),

  // Tenants
  tenant_unknown: fact(404),
  tenant_exists: fact(409),
  tenant_refused: fact(403),
  login_refused: fact(409),
  series_unknown: fact(422, true),

  // Access over HTTP
  unauthorized: fact(401),
  admin_disabled: fact(503),
  too_many_attempts: fact(429, true),
  token_unknown: fact(404),
  idempotency_key_invalid: fact(400),
  idempotency_key_reused: fact(422),

  // Rows over HTTP
  token_refused: fact(403),
  body_incomplete: fact(400, true),
  rows_rejected: fact(422),

  // Ledger of runs
  run_unknown: fact(404),
  run_finished: fact(409),

  // Jobs
  job_unknown: fact(404),
  job_not_found: fact(404),
  job_finished: fact(409),
  job_not_failed: fact(409),
  job_cancelled: fact(409),
  job_superseded: fact(409),
  job_lost: fact(500, true),
  job_queue_full: fact(429, true),
  jobs_unavailable: fact(503, true),

  // Event bus
  bus_unavailable: fact(503, true),
  event_invalid: fact(422),
  event_not_handled: fact(500, true),

  // Schema registry
  registry_unavailable: fact(503, true),
  registry_refused: fact(502),
  registry_read_only: fact(503),
  schema_not_found: fact(404),
  schema_invalid: fact(422),
  schema_incompatible: fact(409),

  // Backfills
  backfill_refused: fact(403),
  backfill_incomplete: fact(422),
  source_unavailable: fact(503, true),

  // Deleting tenants
  tenant_protected: fact(409),
  tenant_in_use: fact(503, true),

  // Coordinator
  queue_full: fact(429, true),

  // Database
  database_unavailable: fact(503, true),
  database_overloaded: fact(503, true),
  database_conflict: fact(503, true),
  database_full: fact(503, true),
  database_refused: fact(503),
  database_error: fact(500),
  constraint_violated: fact(422),
  partition_missing: fact(503, true),
  deadline_exceeded: fact(504, true),
  aborted: fact(499),
  window_too_large: fact(422),

  // Spool and dead letters
  spool_full: fact(503, true),
  spool_unavailable: fact(503, true),
  spool_in_use: fact(503),
  spool_damaged: fact(500),
  dead_letters_unavailable: fact(503, true),
  dead_letters_in_use: fact(409, true),
  key_present: fact(409),

  // Migrations
  migration_altered: fact(500),
  migration_unknown: fact(500),
  migration_failed: fact(500),
  migration_pending: fact(503, true),
  role_missing: fact(500),

  // Engine and policies
  engine_refused: fact(500),
  policy_refused: fact(422),

  // Embedded database
  embedded_missing: fact(500),
  embedded_failed: fact(500),
  embedded_in_use: fact(500),

  // Service
  listen_failed: fact(500),
  shutting_down: fact(503, true),
  service_unreachable: fact(503, true),
  internal: fact(500),
} as const satisfies Record<string, ErrorCodeFacts>;

/** A stable name of what went wrong. */
export type ErrorCode = keyof typeof ERROR_CODES;
