/** The public names of market-data-store. Nothing else is a promise. */
export type { BarsClient } from "./client/bars-client.ts";
export type { BatchWriter, BatchWriterOptions, WriterCounts } from "./client/batch-writer.ts";
export { configFingerprint } from "./client/config-fingerprint.ts";
export type { AnyDatasetClient, DatasetClient } from "./client/dataset-client.ts";
export type { JobRun, JobRunDetail, RunMode, RunStatus, RunSummary } from "./client/job-run.ts";
export type {
  ChainQuery,
  Freshness,
  LatestPrice,
  LatestQuery,
  SignalQuery,
  SignalSummary,
} from "./client/latest.ts";
export { openStore, type Store, type StoreOptions } from "./client/open-store.ts";
export type { OptionsClient } from "./client/options-client.ts";
export type { RowReadOptions, WindowColumns } from "./client/read.ts";
export type { NewRun, RunOutcome, RunProgress } from "./client/run-input.ts";
export type { PruneOptions, RunFilter, Runs } from "./client/runs.ts";
export type { SignalsClient } from "./client/signals-client.ts";
export type { StoreSnapshot } from "./client/snapshot.ts";
export {
  openTrustedLoad,
  type TrustedDataset,
  type TrustedLoad,
  type TrustedLoadOptions,
  type TrustedLoadResult,
} from "./client/trusted-load.ts";
export type { RowRejection, RowSource, UpsertOptions, UpsertResult } from "./client/upsert.ts";
export type { AnyColumnBatch, ColumnBatch } from "./client/upsert-columns.ts";
export type {
  AnsweringSeries,
  AnyWindowQuery,
  Choice,
  ReadOptions,
  Series,
  SeriesSource,
  WindowQuery,
} from "./client/window.ts";
export type { EventEnvelope } from "./contracts/event-envelope.ts";
export type { FeedbackEvent, FeedbackLevel } from "./contracts/feedback-event.ts";
export type { HealthComponent, HealthState, HealthStatus } from "./contracts/health-status.ts";
export type { AcceptedJob, Job, JobProgress, JobState } from "./contracts/job.ts";
export type { SchemaDrift } from "./contracts/schema-drift.ts";
export type { SchemaVersion } from "./contracts/schema-version.ts";
export type { CreatedIngestTokenRecord, IngestTokenRecord, TenantRecord } from "./control/access.ts";
export {
  type BackfillInputs,
  type ControlCallOptions,
  type ControlClient,
  type ControlClientOptions,
  createControlClient,
  type JobCallOptions,
  type WaitOptions,
} from "./control/control-client.ts";
export type { AcceptedJobs, PolicyChangeRecord, PolicyRecord } from "./control/requests.ts";
export type { RowCounts } from "./coordinator/accounts.ts";
export type { CoordinatorTuning } from "./coordinator/coordinator-options.ts";
export {
  type Coordinator,
  type CreateCoordinatorOptions,
  createCoordinator,
} from "./coordinator/create-coordinator.ts";
export type { RetryOptions } from "./coordinator/delivery.ts";
export type { CoordinatorHealth } from "./coordinator/health.ts";
export type { OverflowStrategy } from "./coordinator/memory-intake.ts";
export type { FeedbackReason } from "./coordinator/pressure.ts";
export type { StopOptions, StopReport } from "./coordinator/stop-lanes.ts";
export type { SubmitOptions } from "./coordinator/write-coordinator.ts";
export { type Bar, type BarInput, bars } from "./datasets/bars.ts";
export type { DatasetShape, InputRow, JsonObject, StoredRow, TimeInput } from "./datasets/dataset.ts";
export { datasetJsonSchema } from "./datasets/derive/json-schema.ts";
export { type Fundamentals, type FundamentalsInput, fundamentals } from "./datasets/fundamentals.ts";
export { type NewsInput, type NewsItem, news } from "./datasets/news.ts";
export { type OptionInput, type OptionSnapshot, options } from "./datasets/options.ts";
export { DATASETS, type DatasetName } from "./datasets/registry.ts";
export { type Signal, type SignalInput, signals } from "./datasets/signals.ts";
export { formatTime } from "./datasets/values/time.ts";
export { type TimeZone, timeZone } from "./datasets/values/time-zone.ts";
export { TIMEFRAMES, type Timeframe } from "./datasets/values/timeframe.ts";
export type { ErrorCode } from "./errors/codes.ts";
export { StoreError } from "./errors/store-error.ts";
export { type Feedback, FeedbackBus, type FeedbackSubscriber } from "./feedback/feedback-bus.ts";
export { HttpWebhook } from "./feedback/http-webhook.ts";
export { openPulse, type Pulse, type PulseOptions } from "./feedback/open-pulse.ts";
export type { PulsePayloads, PulseStream } from "./feedback/pulse-streams.ts";
export {
  createPulseSubscriber,
  type PulseEvent,
  type PulseSubscriber,
  type PulseSubscriberOptions,
} from "./feedback/pulse-subscriber.ts";
export { type CreateJobRunnerOptions, createJobRunner } from "./jobs/create-job-runner.ts";
export { defineJob, type JobContext, type JobDefinition } from "./jobs/define-job.ts";
export type { EnqueueOptions, JobFilter, JobQueue } from "./jobs/job-queue.ts";
export type { JobRunner } from "./jobs/runner.ts";
export { IngestMetrics } from "./telemetry/ingest-metrics.ts";
export type { Logger } from "./telemetry/logger.ts";
