/**
 * Knows how the store is, by asking its components on a timer of its own. Whoever asks gets the last answer at once,
 * at most 2 s old, ready to be sent; a request never reaches a component. Changes are told once.
 */
import type { HealthComponent, HealthState, HealthStatus } from "../contracts/health-status.ts";
import { StoreError } from "../errors/store-error.ts";
import { withDeadline } from "../resilience/with-deadline.ts";

/** From the start of one check to the start of the next. */
const CHECK_INTERVAL_MS = 1_000;
/** A check's deadline. With the interval it bounds the age of what is reported: 1.8 s. */
const CHECK_DEADLINE_MS = 800;

/** What a component says of itself. Details are public: no addresses, no names of logins. */
export type ComponentReport = Omit<HealthComponent, "name">;

/** A component that is asked. */
export interface HealthProbe {
  readonly name: string;
  /** Whether the store is ready only while this component is healthy. */
  readonly neededForReady: boolean;
  /** Whether rows can be sent here only while this component is healthy. */
  readonly neededForIngest?: boolean;
  /** What it says. One that throws, or is silent until the signal is aborted, is degraded. */
  check(signal: AbortSignal): Promise<ComponentReport>;
}

/** How the store was at the last check. */
export interface HealthSnapshot {
  readonly status: HealthStatus;
  /** `status` as JSON. */
  readonly body: string;
  /** Whether all that is needed to serve is healthy, and the process is not stopping. */
  readonly ready: boolean;
  /** Whether rows can be sent here; false where there is no ingestion. */
  readonly readyForIngest: boolean;
}

interface HealthMonitorOptions {
  readonly version: string;
  readonly probes: readonly HealthProbe[];
  /** Called after the first check and whenever a component's state or the readiness has changed. */
  readonly onChange: (snapshot: HealthSnapshot) => void;
}

const WORST_FIRST: readonly HealthState[] = ["unhealthy", "degraded", "healthy"];

/** Checks until it is stopped. */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  #components: readonly HealthComponent[];
  #checkedAt = Date.now();
  #snapshot: HealthSnapshot;
  #told = "";
  #stopping = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(options: HealthMonitorOptions) {
    this.#options = options;
    const details = { reason: "not checked yet" };
    this.#components = options.probes.map(({ name }) => ({ name, state: "degraded", details }));
    this.#snapshot = this.#summary();
  }

  /** The last answer. */
  get current(): HealthSnapshot {
    return this.#snapshot;
  }

  /** Checks now and from then on every second. */
  start(): void {
    const startedAt = performance.now();
    void this.#check().finally(() => {
      if (this.#stopped) return;
      const rest = CHECK_INTERVAL_MS - (performance.now() - startedAt);
      this.#timer = setTimeout(() => this.start(), Math.max(0, rest));
    });
  }

  /** Ends after a check that began after this call, so that what was just done shows. */
  async refresh(): Promise<void> {
    await this.#running;
    await this.#check();
  }

  /** From now on the store is not ready, whatever its components say. */
  beginStopping(): void {
    this.#stopping = true;
    this.#publish();
  }

  /** Ends the checks. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #check(): Promise<void> {
    this.#running ??= this.#checkAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #checkAll(): Promise<void> {
    this.#components = await Promise.all(this.#options.probes.map(ask));
    this.#checkedAt = Date.now();
    this.#publish();
  }

  #publish(): void {
    this.#snapshot = this.#summary();
    const { ready, status } = this.#snapshot;
    const key = JSON.stringify([ready, status.components.map(({ name, state }) => [name, state])]);
    if (key === this.#told) return;
    this.#told = key;
    this.#options.onChange(this.#snapshot);
  }

  #summary(): HealthSnapshot {
    const stopping: HealthComponent = { name: "service", state: "degraded", details: { reason: "stopping" } };
    const components = this.#stopping ? [...this.#components, stopping] : [...this.#components];
    const state = WORST_FIRST.find((worst) => components.some((component) => component.state === worst)) ?? "healthy";
    const status: HealthStatus = {
      service: "market-data-store",
      state,
      components,
      version: this.#options.version,
      ts: this.#checkedAt / 1_000,
    };
    const { probes } = this.#options;
    const isWell = (needed: readonly HealthProbe[]): boolean =>
      !this.#stopping &&
      needed.every(({ name }) => components.some((one) => one.name === name && one.state === "healthy"));
    const forIngest = probes.filter(({ neededForIngest }) => neededForIngest);
    return {
      status,
      body: JSON.stringify(status),
      ready: isWell(probes.filter(({ neededForReady }) => neededForReady)),
      readyForIngest: forIngest.length > 0 && isWell(forIngest),
    };
  }
}

async function ask(probe: HealthProbe): Promise<HealthComponent> {
  try {
    const report = await withDeadline(CHECK_DEADLINE_MS, (signal) => probe.check(signal));
    return { name: probe.name, ...report };
  } catch (error) {
    const code = error instanceof StoreError ? error.code : "internal";
    return { name: probe.name, state: "degraded", details: { code } };
  }
}
