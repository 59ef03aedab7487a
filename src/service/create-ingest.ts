/** Makes the service's ingestion of the settings: its metrics, where its folders are, and who hears its feedback. */
import { deadLetterFolder, spoolPlace } from "../config/data-folders.ts";
import type { Config } from "../config/settings.ts";
import { coordinatorTuning } from "../coordinator/coordinator-options.ts";
import { LetterCounter } from "../coordinator/dead-letters/letter-count.ts";
import { openFeedback } from "../feedback/open-feedback.ts";
import type { Clock } from "../resilience/clock.ts";
import { IngestMetrics } from "../telemetry/ingest-metrics.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import { SpoolMetrics } from "../telemetry/spool-metrics.ts";
import { ServiceIngest } from "./service-ingest.ts";

interface CreateIngestOptions {
  readonly config: Config;
  /** Where the database is, with the service's login; once it is known. */
  readonly url: () => Promise<string>;
  readonly log: Logger;
  readonly metrics: StoreMetrics;
  /** For tests. */
  readonly clock?: Clock;
}

/**
 * Nothing is opened and no folder made before `start`.
 * @throws StoreError `config_invalid` when feedback is to be sent and it is not said where to.
 */
export function createIngest({ config, url, log, metrics, clock }: CreateIngestOptions): ServiceIngest {
  const ingestMetrics = new IngestMetrics(metrics.registry, { pollMs: config.metricsQueuePollSec * 1_000 });
  const spoolMetrics = new SpoolMetrics(metrics.registry);
  const deadLetterDir = deadLetterFolder(config);
  const letters = new LetterCounter(deadLetterDir);
  spoolMetrics.watchDeadLetters(() => letters.count());
  const feedback = openFeedback(config, { metrics: ingestMetrics, log });
  return new ServiceIngest({
    url,
    tuning: coordinatorTuning(config),
    spool: spoolPlace(config),
    deadLetterDir,
    feedback: feedback.bus,
    onStopped: feedback.close,
    log,
    metrics,
    ingestMetrics,
    spoolMetrics,
    clock,
  });
}
