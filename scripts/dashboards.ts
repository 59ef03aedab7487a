/**
 * Grafana's dashboards, described once and written as JSON by `npm run generate`. Each panel names the job whose metrics it
 * reads; which data source and, for ingestion, which job that is, are variables of the dashboard.
 */
interface Target {
  readonly expr: string;
  readonly legend: string;
}

interface PanelOptions {
  readonly unit?: string;
  readonly type?: "timeseries" | "stat" | "state-timeline";
  /** Of 24. */
  readonly width?: number;
  /** Names of values, by value. */
  readonly names?: Readonly<Record<string, string>>;
  /** What it shows where the title does not say so. */
  readonly about?: string;
}

interface Panel extends PanelOptions {
  readonly title: string;
  readonly targets: readonly Target[];
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  /** The job that its panels read: a name, or the variable `$job`. */
  readonly job: string;
  /** A metric by whose jobs the variable is filled; without it there is no variable. */
  readonly jobsOf?: string;
  readonly panels: readonly Panel[];
}

const SERVICES = "market-data-services";
/** A rate does not see the event with which a series appears, and these come once a day, or less often. */
const SINCE_START = "since the start of the process.";
const PANEL_HEIGHT = 8;
const STAT_HEIGHT = 4;
const COLUMNS = 24;
const YES_NO = { "0": "no", "1": "yes" };
const UP_DOWN = { "0": "down", "1": "up" };

const panel = (title: string, targets: string | readonly [string, string][], options: PanelOptions = {}): Panel => ({
  title,
  targets:
    typeof targets === "string" ? [{ expr: targets, legend: "" }] : targets.map(([expr, legend]) => ({ expr, legend })),
  ...options,
});

const rate = (metric: string, by: string, more = ""): string =>
  `sum by (${by}) (rate(${metric}{job=~"JOB"${more}}[$__rate_interval]))`;

const quantiles = (metric: string, by = ""): [string, string][] =>
  [0.5, 0.95, 0.99].map((part) => [
    `histogram_quantile(${part}, ${rate(`${metric}_bucket`, by === "" ? "le" : `${by}, le`)})`,
    `p${part * 100}${by === "" ? "" : ` {{${by}}}`}`,
  ]);

const overview: Dashboard = {
  uid: "mds-store-overview",
  title: "Store overview",
  job: SERVICES,
  panels: [
    panel("Ready", [['store_up{job=~"JOB"}', "{{instance}}"]], {
      type: "stat",
      width: 6,
      names: YES_NO,
      about: "The database answers and is migrated.",
    }),
    panel("Answers scrapes", [['up{job=~"JOB"}', "{{service}} {{instance}}"]], {
      type: "stat",
      width: 6,
      names: UP_DOWN,
    }),
    panel("Firing alerts", 'count(ALERTS{alertstate="firing"}) or vector(0)', { type: "stat", width: 6 }),
    panel("Running for", [['time() - process_start_time_seconds{job=~"JOB"}', "{{service}} {{instance}}"]], {
      type: "stat",
      width: 6,
      unit: "s",
    }),
    panel(
      "Rows by what became of them",
      [[rate("mds_rows_written_total", "dataset, result"), "{{dataset}} {{result}}"]],
      { unit: "rowsps" },
    ),
    panel(
      "Since rows were last written",
      [['time() - max by (dataset) (mds_rows_last_written_timestamp_seconds{job=~"JOB"})', "{{dataset}}"]],
      { unit: "s" },
    ),
    panel("Requests", [[rate("http_requests_total", "method, endpoint"), "{{method}} {{endpoint}}"]], {
      unit: "reqps",
    }),
    panel(
      "Requests that failed",
      [
        [
          `${rate("http_requests_total", "endpoint, status", ', status=~"5.."')} or vector(0)`,
          "{{endpoint}} {{status}}",
        ],
      ],
      { unit: "reqps", about: "Answers 500 to 599." },
    ),
    panel("Time of requests", quantiles("http_request_duration_seconds"), { unit: "s" }),
    panel("Events published", [[rate("pulse_publish_total", "stream, outcome"), "{{stream}} {{outcome}}"]], {
      unit: "eps",
    }),
    panel(
      "Time until the bus has an event, p95",
      [['histogram_quantile(0.95, sum by (stream, le) (pulse_publish_latency_ms_bucket{job=~"JOB"}))', "{{stream}}"]],
      { unit: "ms", about: `Of all events ${SINCE_START}` },
    ),
    panel("CPU", [['rate(process_cpu_seconds_total{job=~"JOB"}[$__rate_interval])', "{{service}} {{instance}}"]], {
      unit: "percentunit",
    }),
    panel(
      "Memory",
      [
        ['process_resident_memory_bytes{job=~"JOB"}', "resident {{instance}}"],
        ['nodejs_heap_size_used_bytes{job=~"JOB"}', "heap {{instance}}"],
      ],
      { unit: "bytes" },
    ),
    panel(
      "Delay of the event loop, p99",
      [['nodejs_eventloop_lag_p99_seconds{job=~"JOB"}', "{{service}} {{instance}}"]],
      { unit: "s" },
    ),
  ],
};

const ingestion: Dashboard = {
  uid: "mds-ingestion",
  title: "Ingestion",
  job: "$job",
  jobsOf: "mds_coord_queue_depth",
  panels: [
    panel("Circuit", [['mds_coord_circuit_state{job=~"JOB"}', "{{instance}} {{coord_id}}"]], {
      type: "stat",
      width: 6,
      names: { "0": "closed", "1": "open", "2": "half-open" },
    }),
    panel("Workers alive", [['mds_coord_workers_alive{job=~"JOB"}', "{{instance}} {{coord_id}}"]], {
      type: "stat",
      width: 6,
    }),
    panel("Dead letters that wait", [['mds_dead_letters{job=~"JOB"}', "{{instance}}"]], { type: "stat", width: 6 }),
    panel("Spool in use", [['mds_spool_bytes{job=~"JOB"} / (mds_spool_max_bytes{job=~"JOB"} > 0)', "{{instance}}"]], {
      type: "stat",
      width: 6,
      unit: "percentunit",
    }),
    panel(
      "Queue",
      [
        ['mds_coord_queue_depth{job=~"JOB"}', "{{instance}} {{coord_id}}"],
        ['mds_coord_queue_high_watermark{job=~"JOB"}', "high watermark {{instance}} {{coord_id}}"],
      ],
      { about: "Rows that are accepted and not stored yet." },
    ),
    panel(
      "Items submitted",
      [[rate("mds_coord_items_submitted_total", "instance, coord_id"), "{{instance}} {{coord_id}}"]],
      { unit: "rowsps" },
    ),
    panel(
      "Batches written",
      [[rate("mds_worker_batches_written_total", "instance, coord_id"), "{{instance}} {{coord_id}}"]],
      { unit: "ops" },
    ),
    panel("Batches by outcome", [[rate("sink_writes_total", "sink, outcome"), "{{sink}} {{outcome}}"]], {
      unit: "ops",
    }),
    panel("Time of a worker's write", quantiles("mds_worker_write_latency_seconds"), { unit: "s" }),
    panel("Time of a batch, by dataset", quantiles("sink_write_latency", "sink"), { unit: "s" }),
    panel("Errors", [[rate("mds_worker_write_errors_total", "error_type"), "{{error_type}}"]], { unit: "ops" }),
    panel("Rows refused or given up", [[rate("mds_coord_items_dropped_total", "reason"), "{{reason}}"]], {
      unit: "rowsps",
    }),
    panel("Spool", [['mds_spool_bytes{job=~"JOB"}', "{{instance}}"]], { unit: "bytes" }),
    panel("Rows in the spool", [['mds_spool_records{job=~"JOB"}', "{{instance}}"]]),
    panel("Age of the oldest row in the spool", [['mds_spool_oldest_age_seconds{job=~"JOB"}', "{{instance}}"]], {
      unit: "s",
    }),
    panel("Damaged rows in the spool", [['mds_spool_damaged_records{job=~"JOB"}', "{{instance}}"]]),
    panel("New dead letters", [[rate("mds_dead_letters_total", "dataset, code"), "{{dataset}} {{code}}"]], {
      unit: "rowsps",
    }),
    panel("Feedback", [[rate("mds_feedback_deliveries_total", "subscriber, outcome"), "{{subscriber}} {{outcome}}"]], {
      unit: "ops",
    }),
  ],
};

const databaseAndJobs: Dashboard = {
  uid: "mds-database-and-jobs",
  title: "Database and jobs",
  job: SERVICES,
  panels: [
    panel("Ready", [['store_up{job=~"JOB"}', "{{instance}}"]], { type: "state-timeline", width: 12, names: YES_NO }),
    panel("Migrations applied", [['migrations_applied_total{job=~"JOB"}', "{{instance}}"]], {
      type: "stat",
      width: 12,
      about: "By this process.",
    }),
    panel("Connections", [
      ['mds_database_pool_in_use{job=~"JOB"}', "in use {{instance}}"],
      ['mds_database_pool_idle{job=~"JOB"}', "idle {{instance}}"],
    ]),
    panel("Callers that wait for a connection", [['mds_database_pool_waiting{job=~"JOB"}', "{{instance}}"]]),
    panel("Jobs that wait", [['max by (job_name) (mds_job_queue_depth{job=~"JOB"})', "{{job_name}}"]], {
      about: "One queue for all replicas.",
    }),
    panel(
      "Age of the oldest job that waits",
      [['max by (job_name) (mds_job_queue_oldest_age_seconds{job=~"JOB"})', "{{job_name}}"]],
      { unit: "s" },
    ),
    panel(
      "Finished runs",
      [['sum by (job_name, status) (store_job_runs_total{job=~"JOB"})', "{{job_name}} {{status}}"]],
      { about: `All ${SINCE_START}` },
    ),
    panel(
      "Mean time of a run",
      [
        [
          'sum by (job_name) (store_job_runs_duration_seconds_sum{job=~"JOB"}) / sum by (job_name) (store_job_runs_duration_seconds_count{job=~"JOB"})',
          "{{job_name}}",
        ],
      ],
      { unit: "s", about: `Of all ${SINCE_START}` },
    ),
  ],
};

const drift: Dashboard = {
  uid: "mds-schema-drift",
  title: "Schema drift",
  job: SERVICES,
  panels: [
    panel(
      "Contracts that differ",
      'count(max by (track, schema) (mds_schema_drift_state{job=~"JOB"}) == 1) or vector(0)',
      { type: "stat", width: 6 },
    ),
    panel(
      "Contracts that break",
      'count(max by (track, schema) (mds_schema_drift_breaking{job=~"JOB"}) == 1) or vector(0)',
      { type: "stat", width: 6 },
    ),
    panel(
      "Since the last comparison",
      [['time() - (mds_schema_drift_last_run_timestamp{job=~"JOB"} > 0)', "{{instance}}"]],
      { type: "stat", width: 6, unit: "s" },
    ),
    panel("From one comparison to the next", [['mds_schema_drift_interval_seconds{job=~"JOB"}', "{{instance}}"]], {
      type: "stat",
      width: 6,
      unit: "s",
    }),
    panel("Differs", [['max by (track, schema) (mds_schema_drift_state{job=~"JOB"})', "{{track}} {{schema}}"]], {
      type: "state-timeline",
      names: YES_NO,
    }),
    panel("Breaks", [['max by (track, schema) (mds_schema_drift_breaking{job=~"JOB"})', "{{track}} {{schema}}"]], {
      type: "state-timeline",
      names: YES_NO,
    }),
    panel("Differences found in a day", [
      ['sum by (track, schema) (increase(schema_drift_total{job=~"JOB"}[1d]))', "{{track}} {{schema}}"],
    ]),
    panel(
      "Last time one was found",
      [['max by (track, schema) (schema_drift_last_detected_timestamp{job=~"JOB"}) * 1000', "{{track}} {{schema}}"]],
      { unit: "dateTimeAsIso", about: "It stays when the difference is over." },
    ),
    panel(
      "Comparisons that failed",
      [['increase(mds_registry_errors_total{job=~"JOB"}[$__rate_interval])', "{{instance}}"]],
      { about: "The registry did not answer." },
    ),
    panel("Schemas sent to the registry", [['sum by (outcome) (registry_publish_total{job=~"JOB"})', "{{outcome}}"]], {
      about: `All ${SINCE_START}`,
    }),
  ],
};

/** The dashboards, by the name of their file. */
export function dashboards(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [overview, ingestion, databaseAndJobs, drift].map((dashboard) => [
      `${dashboard.uid.slice("mds-".length)}.json`,
      `${JSON.stringify(dashboardJson(dashboard), null, 2)}\n`,
    ]),
  );
}

function dashboardJson(dashboard: Dashboard): object {
  return {
    uid: dashboard.uid,
    title: dashboard.title,
    tags: ["market-data-store"],
    editable: false,
    schemaVersion: 39,
    refresh: "30s",
    time: { from: "now-3h", to: "now" },
    templating: { list: variables(dashboard) },
    panels: placed(dashboard),
  };
}

function variables({ jobsOf }: Dashboard): object[] {
  const source = { name: "datasource", label: "Data source", type: "datasource", query: "prometheus", hide: 0 };
  if (jobsOf === undefined) return [source];
  const query = `label_values(${jobsOf}, job)`;
  const all = { includeAll: true, multi: true, allValue: ".*", current: { text: "All", value: "$__all" } };
  const job = {
    name: "job",
    label: "Job",
    type: "query",
    datasource: SOURCE,
    definition: query,
    query,
    refresh: 2,
    ...all,
  };
  return [source, job];
}

const SOURCE = { type: "prometheus", uid: "$datasource" };

function placed({ panels, job }: Dashboard): object[] {
  let x = 0;
  let y = 0;
  let rowHeight = 0;
  return panels.map((each, at) => {
    const w = each.width ?? COLUMNS / 2;
    const h = each.type === "stat" ? STAT_HEIGHT : PANEL_HEIGHT;
    if (x + w > COLUMNS) {
      x = 0;
      y += rowHeight;
      rowHeight = 0;
    }
    const gridPos = { x, y, w, h };
    x += w;
    rowHeight = Math.max(rowHeight, h);
    return panelJson(each, at + 1, gridPos, job);
  });
}

function panelJson(each: Panel, id: number, gridPos: object, job: string): object {
  const { title, targets, unit, type = "timeseries", names, about } = each;
  const reads = job === "$job" ? "Reads the job chosen above." : `Reads the job ${job}.`;
  const options = Object.fromEntries(Object.entries(names ?? {}).map(([value, text]) => [value, { text }]));
  return {
    id,
    title,
    type,
    description: about === undefined ? reads : `${about} ${reads}`,
    datasource: SOURCE,
    gridPos,
    fieldConfig: {
      defaults: {
        ...(unit !== undefined && { unit }),
        ...(type === "timeseries" && { min: 0 }),
        ...(names !== undefined && { mappings: [{ type: "value", options }] }),
      },
      overrides: [],
    },
    targets: targets.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + index),
      datasource: SOURCE,
      expr: expr.replaceAll("JOB", job),
      legendFormat: legend === "" ? "__auto" : legend,
    })),
  };
}
